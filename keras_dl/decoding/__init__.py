"""Generating sequences with a model of the next step: by drawing one step after the other, or by beam search.

    memory, state = model.begin(source)
    step = decoding.step_function(model, memory)
    decoding.generate(step, state, first, length, decoding.Sample(seed))
    decoding.beam_search(step, state, first, length, width, end=2)

generate and beam_search call a model only through a step function, step(inputs, state) -> (logits, state); protocol.py
describes the methods that a model must have. A file is imported on first use (PEP 562).
"""

import importlib

EXPORTS = {  # public name -> its file
    "generate": "generation",
    "Greedy": "draws",
    "Sample": "draws",
    "SampleFrom": "draws",
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
