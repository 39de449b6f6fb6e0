"""What a model says of itself so that sequences can be generated with it, one step at a time."""

import typing


@typing.runtime_checkable
class Stepwise(typing.Protocol):
    """A model that goes from step to step: its own methods, found in a loaded file too.

    Recurrent states, a Transformer's keys and values, or a convolution's last inputs are all the same here: a nest of
    tensors that `step` takes and gives. What all rows of a context share and no step changes is the memory.

        memory, state = model.begin(source)                          # or, where there is no context, rows=B
        step = decoding.step_function(model, memory)
        decoding.generate(step, state, first, length, decoding.Sample(seed))

    A model of one sequence has besides
    `read(inputs (N, T, ...), state, memory, training=False) -> (outputs (N, T, ...), state)`, several steps at once;
    `begin(..., grows=False)`, a state whose shapes never change, so that variables can hold it; and `cost()`, a Cost.
    """

    def begin(self, context=None, *, rows=None):
        """What stands before the first step.

        Args:
            context: what is generated for, such as sources (B, S); None for a model that has none.
            rows: B, where there is no context; a number or a scalar tensor.

        Returns:
            (memory, state): nests of tensors of B rows; () for none. What of the state is decoding.Shared, all rows of
            a context share.
        """

    def step(self, inputs, state, memory):
        """One step of N rows, N a multiple of B: the rows of a context, such as a beam's, stand side by side.

        Args:
            inputs: tokens (N,) or values (N, ...).
            state: of N rows, as `begin` and `step` give it; decoding.take gives a state its rows.
            memory: of `begin`.

        Returns:
            (outputs (N, ...), state): the outputs are logits, or what else a distribution has as its parameters.
        """


class Cost(typing.NamedTuple):
    """What a token costs a model, by which an endpoint bounds its requests.

    Attributes:
        passes: how many times a generated token goes through the weights, at the most on average.
        floats: numbers that a token which is read holds beside its logits, in eights.
        chain: how long a step's chain of operations is, by that of a recurrent network of few layers.
    """

    passes: int
    floats: int
    chain: int = 1


def step_function(model, memory):
    """step(inputs, state) -> (outputs, state) of a model and a context, as generate and beam_search take it."""

    def step(inputs, state):
        return model.step(inputs, state, memory)

    return step
