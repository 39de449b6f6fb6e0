"""Sequences from a model of the next step: drawn one after the other, or searched for.

    memory, state = model.begin(source)
    step = decoding.step_function(model, memory)
    decoding.generate(step, state, first, length, decoding.Sample(seed))
    decoding.beam_search(step, state, first, length, width, end=2)

A step function step(inputs, state) -> (logits, state) is all that they see of a model; protocol.py says what a model
has. Imported when they are used (PEP 562).
"""

import importlib

EXPORTS = {  # public name -> its file
    "generate": "generation",
    "Greedy": "draws",
    "Sample": "draws",
    "Bernoulli": "draws",
    "beam_search": "beam",
    "Stepwise": "protocol",
    "Cost": "protocol",
    "step_function": "protocol",
    "search_in_halves": "states",
    "Shared": "states",
    "take": "states",
}


def __getattr__(name):
    if name in EXPORTS:
        return getattr(importlib.import_module(f"{__name__}.{EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(EXPORTS)}")


def __dir__():
    return sorted(EXPORTS)
