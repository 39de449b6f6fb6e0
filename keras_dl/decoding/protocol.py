"""The methods of a model with which sequences can be generated one step at a time."""

import typing


@typing.runtime_checkable
class Stepwise(typing.Protocol):
    """A model that can run step by step. Its class defines the methods, so that a loaded model has them too.

    The state is a nest of tensors that `step` takes and returns: the states of recurrent layers, a Transformer's keys
    and values, or a convolution's last inputs. What all rows of a context share and no step changes is the memory.

        memory, state = model.begin(source)                          # or, where there is no context, rows=B
        step = decoding.step_function(model, memory)
        decoding.generate(step, state, first, length, decoding.Sample(seed))

    A model of one sequence (without a source) also has
    `read(inputs (N, T, ...), state, memory, training=False) -> (outputs (N, T, ...), state)`, several steps at once;
    `begin(..., grows=False)`, a state whose shapes never change, so that variables can hold it; and `cost()`, a Cost.
    """

    def begin(self, context=None, *, rows=None):
        """Memory and state before the first step.

        Args:
            context: what the generated sequence depends on, such as sources (B, S); None for a model without context.
            rows: B if there is no context; a number or a scalar tensor.

        Returns:
            (memory, state): nests of tensors of B rows, () if empty. Parts of the state that all rows of a context
            share are wrapped in decoding.Shared.

        Raises:
            ValueError: the model has a context and none is given, or the reverse, or both are given and the context has
                not `rows` rows (requirements.rows_of).
        """

    def step(self, inputs, state, memory):
        """One step of N rows, N a multiple of B: the rows of a context, such as a beam's hypotheses, are adjacent.

        Args:
            inputs: tokens (N,) or values (N, ...).
            state: of N rows, as `begin` and `step` return it; decoding.take selects and repeats rows.
            memory: as `begin` returns it.

        Returns:
            (outputs (N, ...), state): the outputs are logits, or other parameters of a distribution.
        """


class Cost(typing.NamedTuple):
    """The cost of a token, from which an endpoint computes the largest request that it accepts.

    Attributes:
        passes: how often a generated token passes through the weights, upper bound of the average.
        floats: numbers, in units of eight, that each token of a text being read takes besides its logits.
        chain: length of a step's chain of dependent operations, relative to a recurrent network of few layers.
    """

    passes: int
    floats: int
    chain: int = 1


def step_function(model, memory):
    """step(inputs, state) -> (outputs, state) of a model with a given memory, for generate and beam_search."""

    def step(inputs, state):
        return model.step(inputs, state, memory)

    return step
