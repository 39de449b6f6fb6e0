"""What a model of piano-rolls can be asked: how likely a piece is, and how it goes on.

Shapes: B pieces a request, T time steps, 88 notes, S values of the network's state.
"""

from keras_dl import decoding
from keras_dl.endpoints import Endpoint, at_most, sampling
from keras_dl.runtime import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_PIECES = 64  # a request
MOST_STEPS = 2**15  # of a piece, or generated


def polyphony(stepper, preprocess, examples, length=64):
    """Endpoints of a model of polyphonic music.

    Args:
        stepper: models.with_state of a network: {"sequence", "state"} -> {"logits", "state"}, a logit a note.
        preprocess: data.music.PianoRoll.
        examples: uint8 (B, T, 88), what both are tried with.
        length: default number of steps to go on, in time steps.

    Returns:
        {"serving_default" and "score": "roll" (B, T, 88) uint8 and "steps" (B,) int32, the real ones of each ->
        "log_likelihood" (B,) in nats, summed over notes and steps, "nats_per_step" (B,);
        "generate": "prime" (B, T, 88) uint8, T may be 0, and scalars "length" (time steps), "temperature", "seed" ->
        "roll" (B, T + length, 88) uint8, the prime and what follows it}.
        The state and the step before a piece's first are zero.
    """
    notes = preprocess.notes
    roll = tf.TensorSpec((None, None, notes), tf.uint8, "roll")
    steps = tf.TensorSpec((None,), tf.int32, "steps")
    kinds = {"roll": "roll", "steps": "roll_steps", "log_likelihood": "nats", "nats_per_step": "nats"}
    counts = [examples.shape[1]] * len(examples)
    score = Endpoint(scorer(stepper, preprocess), (roll, steps), kinds, {"roll": examples, "steps": counts})
    scalars = {"length": (tf.int32, length), "temperature": (tf.float32, 1.0), "seed": (tf.int32, 0)}
    inputs = [tf.TensorSpec((None, None, notes), tf.uint8, "prime")]
    inputs += [tf.TensorSpec((), dtype, name) for name, (dtype, _) in scalars.items()]
    example = {name: value for name, (_, value) in scalars.items()} | {"prime": examples}
    kinds = {"prime": "roll", "roll": "roll", **dict.fromkeys(scalars, "number")}
    generate = Endpoint(generator(stepper, preprocess), tuple(inputs), kinds, example)
    return {"serving_default": score, "score": score, "generate": generate}


def scorer(stepper, preprocess):
    """The function behind `score`."""
    states = stepper.output["state"].shape[-1]

    def score(roll, steps):
        batch, longest = tf.unstack(tf.shape(roll)[:2])
        with tf.control_dependencies(_bounds(roll)):
            played = preprocess(roll)
        before = tf.pad(played, [[0, 0], [1, 0], [0, 0]])[:, :-1]
        logits = stepper({"sequence": before, "state": tf.zeros([batch, states])}, training=False)["logits"]
        nll = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(played, logits), -1)
        total = -tf.reduce_sum(nll * tf.sequence_mask(steps, longest, tf.float32), 1)
        return {"log_likelihood": total, "nats_per_step": -total / tf.cast(tf.maximum(steps, 1), tf.float32)}

    return score


def generator(stepper, preprocess):
    """The function behind `generate`."""
    states = stepper.output["state"].shape[-1]

    def generate(prime, length, temperature, seed):
        bounds = [*_bounds(prime), *sampling(length, temperature, MOST_STEPS, "time steps")]
        with tf.control_dependencies(bounds):
            played = preprocess(prime)
        batch = tf.shape(played)[0]
        # What was played before the last step of the prime makes the state; its last step is the first input.
        before = tf.pad(played, [[0, 0], [1, 0], [0, 0]])
        zero = tf.zeros([batch, states])
        state = tf.cond(
            tf.shape(prime)[1] > 0,
            lambda: stepper({"sequence": before[:, :-1], "state": zero}, training=False)["state"],
            lambda: zero,
        )

        def step(taken, state):
            made = stepper({"sequence": taken[:, None], "state": state}, training=False)
            return made["logits"][:, 0], made["state"]

        drawn = decoding.generate(step, state, before[:, -1], length, decoding.Bernoulli(seed, temperature))[0]
        return {"roll": tf.concat([prime, tf.cast(drawn, tf.uint8)], 1)}

    return generate


def _bounds(roll):
    return [
        at_most(tf.shape(roll)[0], MOST_PIECES, "roll: a request", "pieces"),
        at_most(tf.shape(roll)[1], MOST_STEPS, "roll: a piece", "time steps"),
    ]
