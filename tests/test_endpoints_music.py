"""Laws of what a model of music answers: what is refused, what nothing is answered by, and that neither moves a bit."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import models
from keras_dl.endpoints import music as endpoint
from keras_dl.features import midi
from keras_dl.features.piano_roll import PianoRoll

NUMBERS = {"length": 4, "temperature": 1.0, "seed": 0}


@pytest.fixture(scope="module")
def served():
    """{"score", "generate"}: the endpoints as graphs, as an export has them; and the network behind them."""
    network = models.build_lstm(units=(5,))
    examples = np.zeros((1, 4, 88), np.uint8)
    made = endpoint.polyphony(network, PianoRoll(), examples, steps_per_beat=2)
    functions = {
        name: tf.function(made[name].function, input_signature=made[name].specs(), autograph=False)
        for name in ("score", "generate")
    }
    return {**functions, "endpoints": made, "network": network}


def rolls(batch, steps, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (batch, steps, 88)).astype(np.uint8)


def refusal(function, *arguments):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        function(*arguments)
    return error.value.message


@pytest.mark.parametrize(
    ("roll", "steps", "sentence"),
    [
        (rolls(2, 3), [3, 4], "steps must be 0 to the length of the roll"),
        (rolls(2, 3), [-1, 3], "steps must be 0 to the length of the roll"),
        (rolls(2, 3), [3], "steps must be one number a piece"),
        (rolls(2, 3), [3, 3, 3], "steps must be one number a piece"),
        (rolls(0, 3), [0], "steps must be one number a piece"),
        (2 * rolls(2, 3), [3, 3], "roll must hold 0 and 1 only"),
        (rolls(2, 3) * np.uint8(255), [3, 3], "roll must hold 0 and 1 only"),
        (2 * rolls(2, 3), [0, 0], "roll must hold 0 and 1 only"),  # behind the end too
        (np.zeros((65, 1, 88), np.uint8), [1] * 65, "roll: a request may have at most 64 pieces"),
        (np.zeros((1, 2**15 + 1, 88), np.uint8), [1], "roll: a piece may have at most 32768 time steps"),
        (np.zeros((5, 2**15, 88), np.uint8), [1] * 5, "roll: a request may have at most 131072 time steps"),
    ],
)
def test_score_refuses_what_is_no_roll(served, roll, steps, sentence):
    assert sentence in refusal(served["score"], roll, np.array(steps, np.int32))


@pytest.mark.parametrize("value", [-1.0, 0.5, 2.0, math.nan, math.inf])
def test_the_functions_refuse_floats_that_are_not_0_or_1(served, value):
    """A graph takes uint8, to which a client may have rounded; the functions behind it take floats as well."""
    roll = np.zeros((1, 3, 88), np.float32)
    roll[0, 1, 7] = value
    made = served["endpoints"]
    assert "roll must hold 0 and 1 only" in refusal(made["score"].function, tf.constant(roll), tf.constant([3]))
    assert "prime must hold 0 and 1 only" in refusal(
        made["generate"].function, tf.constant(roll), tf.constant(2), tf.constant(1.0), tf.constant(0)
    )


@pytest.mark.parametrize(
    ("prime", "numbers", "sentence"),
    [
        (3 * rolls(1, 2), {}, "prime must hold 0 and 1 only"),
        (rolls(1, 2), {"length": -1}, "length must not be negative"),
        (rolls(1, 2), {"length": 2**31 - 1}, "length: an answer may have at most 16384 time steps"),
        (rolls(1, 2**14 + 1), {"length": 2**14}, "prime: a piece may have at most 32768 time steps"),
        (rolls(9, 0), {"length": 2**14}, "prime: a request may have at most 131072 time steps"),
        (np.zeros((65, 1, 88), np.uint8), {}, "prime: a request may have at most 64 pieces"),
        (rolls(1, 2), {"temperature": -1.0}, "temperature must be from 0 to 1,000,000; got -1"),
    ],
)
def test_generate_refuses_what_is_no_prime_or_too_much(served, prime, numbers, sentence):
    numbers = NUMBERS | numbers
    said = refusal(served["generate"], prime, numbers["length"], numbers["temperature"], numbers["seed"])
    assert sentence in said


def test_no_pieces_are_answered_by_no_rows(served):
    for steps in (0, 3):
        answer = served["score"](rolls(0, steps), np.zeros(0, np.int32))
        assert {name: value.shape for name, value in answer.items()} == {"log_likelihood": (0,), "nats_per_step": (0,)}
        assert served["generate"](rolls(0, steps), 4, 1.0, 0)["roll"].shape == (0, steps + 4, 88)


def test_no_steps_are_answered_by_no_nats_and_no_music(served):
    answer = served["score"](rolls(2, 0), np.zeros(2, np.int32))
    assert answer["log_likelihood"].numpy().tolist() == answer["nats_per_step"].numpy().tolist() == [0, 0]
    assert served["generate"](rolls(2, 0), 0, 1.0, 0)["roll"].shape == (2, 0, 88)
    prime = rolls(2, 3)
    np.testing.assert_array_equal(served["generate"](prime, 0, 1.0, 0)["roll"], prime)
    assert set(np.unique(served["generate"](rolls(2, 0), 5, 1.0, 0)["roll"])) <= {0, 1}


def test_a_piece_is_scored_by_its_own_steps_whatever_is_beside_it(served):
    roll = rolls(3, 6)
    together = served["score"](roll, np.array([6, 2, 0], np.int32))["log_likelihood"].numpy()
    logits = served["network"](np.pad(roll, [(0, 0), (1, 0), (0, 0)])[:, :-1].astype(np.float32)).numpy()
    log_probability = -np.log1p(np.exp(np.where(roll, -logits, logits))).sum(-1)
    wanted = [log_probability[0].sum(), log_probability[1, :2].sum(), 0]
    np.testing.assert_allclose(together, wanted, rtol=1e-4)
    alone = served["score"](roll[1:2, :2], np.array([2], np.int32))["log_likelihood"].numpy()
    np.testing.assert_allclose(alone, together[1:2], rtol=1e-5)


def test_the_bounds_are_the_cards_and_a_file_that_can_be_read_can_be_asked_about(served):
    limits = {"pieces": 64, "steps": 2**15, "steps_of_all": 2**17}
    assert served["endpoints"]["score"].limits == limits
    assert served["endpoints"]["generate"].limits == limits | {"length": 2**14}
    assert midi.MOST_STEPS == endpoint.MOST_STEPS
