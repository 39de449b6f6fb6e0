"""Endpoints of a model of piano-rolls: the likelihood of a piece, and its continuation.

Shapes: B pieces per request, T time steps, 88 notes.
"""

from keras_dl import decoding, distributions
from keras_dl.endpoints import Endpoint, Portable, at_most, must, sampling
from keras_dl.endpoints.plain import plainly
from keras_dl.features.numbers import Logits, Nats, Number
from keras_dl.features.piano_roll import Roll, Steps
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_PIECES = 64  # per request
MOST_STEPS = 2**15  # time steps of a piece, including generated ones
MOST_DRAWN = 2**14  # generated time steps, which are computed one after the other
MOST_OF_ALL = 2**17  # time steps of all pieces of a request, each counted as long as the longest


def polyphony(model, preprocess, examples, *, steps_per_beat, beats_per_minute=120.0, length=64):
    """Endpoints of a model of polyphonic music.

    Args:
        model: a step-by-step model of vectors (decoding.Stepwise, with `read`), with one logit per note.
        preprocess: features.piano_roll.PianoRoll.
        examples: uint8 (B, T, 88), with which the endpoints are tested.
        steps_per_beat: time steps per quarter note.
        beats_per_minute: tempo for writing a piece that does not continue a file.
        length: default number of time steps to generate.

    Returns:
        {"serving_default" and "score": inputs "roll" (B, T, 88) uint8 and "steps" (B,) int32, the length of each piece
        without padding; outputs "log_likelihood" (B,) in nats, summed over notes and steps, and "nats_per_step" (B,),
        its negative mean over the steps;
        "generate": inputs "prime" (B, T, 88) uint8, T may be 0, and scalars "length" (time steps), "temperature",
        "seed"; output "roll" (B, T + length, 88) uint8, the prime and its continuation}.
        The state and the input before the first step are zero. The answer to a request without pieces has no rows.
    """
    pieces = Roll(steps_per_beat, beats_per_minute, examples)
    limits = {"pieces": MOST_PIECES, "steps": MOST_STEPS, "steps_of_all": MOST_OF_ALL}
    score = Endpoint(
        scorer(model, preprocess),
        {"roll": pieces, "steps": Steps()},
        {"log_likelihood": Nats(), "nats_per_step": Nats()},
        limits=limits,
        portable=_portable(model, preprocess, pieces),
    )
    numbers = {"length": Number("int32", length), "temperature": Number("float32", 1.0), "seed": Number("int32", 0)}
    generate = Endpoint(
        generator(model, preprocess), {"prime": pieces, **numbers}, {"roll": pieces},
        limits=limits | {"length": MOST_DRAWN},
    )  # fmt: skip
    return {"serving_default": score, "score": score, "generate": generate}


def scorer(model, preprocess):
    """The function of the endpoint `score`."""

    def score(roll, steps):
        batch, longest = tf.unstack(tf.shape(roll)[:2])
        counts = [
            must(tf.equal(tf.size(steps), batch), "steps must be one number a piece"),
            must(tf.reduce_all((steps >= 0) & (steps <= longest)), "steps must be 0 to the length of the roll"),
        ]
        with tf.control_dependencies([*_bounds("roll", batch, longest), *counts]):
            played = _padded_to_one(preprocess(_zeros_and_ones("roll", roll)))
        memory, state = model.begin(rows=tf.shape(played)[0])
        logits, _ = model.read(_delayed(played), state, memory)
        return _likelihood(distributions.Bernoulli(logits).log_prob(played)[:batch], steps)

    return score


def generator(model, preprocess):
    """The function of the endpoint `generate`."""

    def generate(prime, length, temperature, seed):
        batch, played_steps = tf.unstack(tf.shape(prime)[:2])
        draws = sampling(length, temperature, MOST_DRAWN, "time steps")
        with tf.control_dependencies(draws):  # so that the sum cannot overflow
            steps = played_steps + length
        with tf.control_dependencies(_bounds("prime", batch, steps)):
            played = preprocess(_zeros_and_ones("prime", prime))
            length = tf.identity(length)  # nothing is allocated before the bounds are checked
        played = tf.pad(played, [[0, tf.cast(tf.equal(batch, 0), tf.int32)], [0, 0], [0, 0]])  # a row for no pieces
        # All but the last step of the prime are read into the state; the last step is the first input of generation.
        before = tf.pad(played, [[0, 0], [1, 0], [0, 0]])
        memory, silent = model.begin(rows=tf.shape(played)[0])
        state = tf.cond(played_steps > 0, lambda: model.read(before[:, :-1], silent, memory)[1], lambda: silent)
        step, draw = decoding.step_function(model, memory), decoding.Bernoulli(seed, temperature)
        following = decoding.generate(step, state, before[:, -1], length, draw)[0]
        return {"roll": tf.concat([prime, tf.cast(following[:batch], tf.uint8)], 1)}

    return generate


def _bounds(who, batch, steps):
    """Assertions on the number of pieces of a request and of their time steps."""
    return [
        at_most(batch, MOST_PIECES, f"{who}: a request", "pieces"),
        at_most(steps, MOST_STEPS, f"{who}: a piece", "time steps"),
        at_most(tf.cast(batch, tf.int64) * tf.cast(steps, tf.int64), MOST_OF_ALL, f"{who}: a request", "time steps"),
    ]


def _zeros_and_ones(who, roll):
    """The roll, with an assertion that it holds 0 and 1 only."""
    with tf.control_dependencies([must(tf.reduce_all((roll == 0) | (roll == 1)), f"{who} must hold 0 and 1 only")]):
        return tf.identity(roll)


def _padded_to_one(played):
    """Pad an empty batch or an empty time axis to size 1, since no network can read them; the answer leaves it out."""
    batch, steps = tf.unstack(tf.shape(played)[:2])
    return tf.pad(played, [[0, tf.maximum(1 - batch, 0)], [0, tf.maximum(1 - steps, 0)], [0, 0]])


def _delayed(played):
    """At every step the notes of the step before, zeros first."""
    return tf.pad(played, [[0, 0], [1, 0], [0, 0]])[:, :-1]


def _likelihood(log_probs, steps):
    """The answer of `score`, from the log-probability of every note (B, T, 88)."""
    log_probs = tf.reduce_sum(log_probs, -1)
    total = tf.reduce_sum(log_probs * tf.sequence_mask(steps, tf.shape(log_probs)[1], tf.float32), 1)
    return {"log_likelihood": total, "nats_per_step": -total / tf.cast(tf.maximum(steps, 1), tf.float32)}


def _portable(model, preprocess, pieces):
    """`score` without its bounds, and the logits of the notes at every step."""

    def score(roll, steps):
        played = preprocess(roll)
        logits = plainly(model, _delayed(played))
        # Bernoulli.log_prob in other words: ONNX has no log1p.
        log_probs = logits * played - tf.maximum(logits, 0.0) - tf.math.log(1.0 + tf.exp(-tf.abs(logits)))
        return {"logits": logits, **_likelihood(log_probs, steps)}

    return Portable(
        score,
        {"roll": pieces, "steps": Steps()},
        {"logits": Logits(), "log_likelihood": Nats(), "nats_per_step": Nats()},
        about={
            "steps_per_beat": pieces.steps_per_beat,
            "inside": "the notes of the step before are read at every step; likelihoods are sums over notes and steps",
            "outside": (
                "a piece is written as 0 and 1, a row for each time step and a column for each of 88 notes, from MIDI "
                "note 21 on; music is generated in a loop that appends a step and calls the file again"
            ),
        },
    )
