"""Endpoints of a model of sound: the likelihood of a recording, sounds drawn from it, and the continuation of one.

Shapes: B recordings per request, T samples, K classes.
"""

from keras_dl import decoding
from keras_dl.endpoints import Endpoint, at_most, check_classes, must, of_classes, sampling
from keras_dl.features.audio import MOST_BYTES, USUAL_LENGTH, Audio, AudioSamples, EncodedAudio
from keras_dl.features.numbers import Nats, Number
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_RECORDINGS = 64  # per request
MOST_SAMPLES = 2**22  # of a request, for any model
# Bounds on the computation of a whole request, by the model's own size, so that no request takes more than 10 s on two
# cores, or more than 1 GB: benchmarks/safety.py measures both.
SCORED = 2**35  # weights times samples
DRAWN = 2**34  # weights and numbers in memory times samples
CHAINED = 2**19  # layers times samples that are drawn one after the other
STATES = 2**26  # numbers that all sounds of a request keep while they are drawn
AT_ONCE = 2**23  # numbers of a layer, of all recordings that are read at once
OVERHEAD = 4  # layers that would take as long as what a step does besides its layers
LEAST = 1024  # samples that are allowed for any model


def audio(model, preprocess, classes=(), examples=None, *, length=None):
    """Endpoints of a model of sound.

    Args:
        model: a models.WaveNet; if it has a context, that must be the label. (One with condition_dim or features_dim
            generates in Python.)
        preprocess: features.audio.AudioLevels, with as many levels as the model.
        classes: K names, of a model with labels.
        examples: float (n, T) with which an export is tested; None for a ticking.
        length: default number of samples that are drawn; None: those of a second, at most USUAL_LENGTH.

    Returns:
        {"serving_default": input "audio_bytes" (B,) strings, WAV files of 16 bits at the model's rate, whose channels
        are averaged; "score": inputs "audio" (B, T) float32 and "samples" (B,) int32, the length of each recording
        without padding. Both return "log_likelihood" (B,) in nats, summed over the samples, and "nats_per_sample" (B,),
        its negative mean;
        "sample": scalars "n" (sounds), "length" (samples of each), "temperature", "seed"; output "audio" (n, length)
        float32;
        "generate": input "prime" (B, T) float32, T may be 0, and scalars "length", "temperature", "seed"; output
        "audio" (B, T + length) float32, the prime and its continuation}.
        With classes, all have the scalar "label": a class from 0 to K - 1, or -1. Then the likelihood is that of all
        classes, equally probable; samples are of class 0, 1, ... in turn; a prime goes on as one of the class for which
        it is the most probable (an empty one as class 0). Silence is before the first sample. The answer to a request
        without recordings has no rows. The largest request is in each Endpoint's limits.

    Raises:
        ValueError: `preprocess` or `classes` do not fit the model, or its context is no label.
    """
    if model.levels != preprocess.levels:
        raise ValueError(
            f"export.audio: the pre-processing must have the model's {model.levels} levels; got {preprocess.levels}."
        )
    contexts = [x.name for x in model.inputs if x.name not in ("audio", "label")]
    if contexts:
        raise ValueError(
            "export.audio: the model must have no context but a label, which a request gives as one number for all its "
            f"recordings; got one with {' and '.join(contexts)}."
        )
    check_classes("export.audio", model, classes)
    most, served = limits(model, len(classes)), _Sounds(model, preprocess, len(classes))
    length = min(min(preprocess.rate, USUAL_LENGTH) if length is None else length, most["drawn"])
    label = {"label": Number("int32", of_classes.ANY_CLASS)} if classes else {}
    numbers = {
        "length": Number("int32", length), **label, "temperature": Number("float32", 1.0), "seed": Number("int32", 0),
    }  # fmt: skip
    given = (preprocess.rate, preprocess.levels)
    sounds, encoded = Audio(*given, examples), EncodedAudio(*given, examples)
    outputs = {"log_likelihood": Nats(), "nats_per_sample": Nats()}
    scored = {"recordings": MOST_RECORDINGS, "samples_of_all": most["scored"]}
    drawn = {"recordings": most["recordings"], "samples": most["drawn"], "samples_of_all": most["drawn_of_all"]}
    why_not = "neither format computes the levels of sound to the last bit"
    return {
        "serving_default": Endpoint(
            served.score_files, {"audio_bytes": encoded, **label}, outputs, limits={**scored, "bytes": MOST_BYTES},
            portable=why_not,
        ),
        "score": Endpoint(
            served.score, {"audio": sounds, "samples": AudioSamples(), **label}, outputs, limits=scored,
            portable=why_not,
        ),
        "sample": Endpoint(
            served.sample, {"n": Number("int32", 1), **numbers}, {"audio": Audio(*given)}, limits=drawn,
            portable=why_not,
        ),
        "generate": Endpoint(
            served.generate, {"prime": sounds, **numbers}, {"audio": Audio(*given)}, limits=drawn, portable=why_not
        ),
    }  # fmt: skip


def limits(model, num_classes=0):
    """The largest requests, computed from the model's size.

    Returns:
        {"scored": samples of a request whose likelihood is computed; "recordings": sounds of a request that are drawn;
        "drawn": samples of each; "drawn_of_all": of all together; "at_once": samples of a request that are read
        together}.
    """
    weights, kept = max(1, model.count_params()), model.state_size()
    widest = max([model.output.shape[-1], *(layer.output.shape[-1] or 1 for layer in model.layers)])
    of_all = max(LEAST, min(MOST_SAMPLES, DRAWN // (weights + 4 * kept)))
    return {
        "scored": max(LEAST, min(MOST_SAMPLES, SCORED // (weights * max(1, num_classes)))),
        "recordings": max(1, min(MOST_RECORDINGS, STATES // max(1, kept))),
        "drawn": max(LEAST, min(of_all, CHAINED // (model.cost().chain + OVERHEAD))),
        "drawn_of_all": of_all,
        "at_once": max(1, AT_ONCE // widest),
    }


class _Sounds:
    """The functions of the endpoints."""

    def __init__(self, model, preprocess, num_classes):
        self.model, self.preprocess, self.num_classes = model, preprocess, num_classes
        self.most = limits(model, num_classes)

    def score_files(self, audio_bytes, label=None):
        count, size = tf.size(audio_bytes), tf.reduce_sum(tf.cast(tf.strings.length(audio_bytes), tf.int64))
        bounds = [
            at_most(count, MOST_RECORDINGS, "audio_bytes: a request", "recordings"),
            at_most(size, MOST_BYTES, "audio_bytes: a request", "bytes of WAV files"),
        ]
        with tf.control_dependencies(bounds):
            audio_bytes = tf.identity(audio_bytes)
        spec = tf.RaggedTensorSpec([None], tf.float32, 0, tf.int64)
        decoded = tf.map_fn(self._decoded, audio_bytes, fn_output_signature=spec, parallel_iterations=1)
        lengths = decoded.row_lengths()
        longest = tf.reduce_max(tf.concat([[0], tf.cast(lengths, tf.int32)], 0))
        with tf.control_dependencies(_bounds("audio_bytes", count, longest, MOST_RECORDINGS, self.most["scored"])):
            lengths = tf.identity(lengths)
        audio = tf.RaggedTensor.from_row_lengths(decoded.values, lengths).to_tensor()
        return self.score(audio, tf.cast(lengths, tf.int32), label)

    def score(self, audio, samples, label=None):
        batch, longest = tf.unstack(tf.shape(audio))
        bounds = [
            *_bounds("audio", batch, longest, MOST_RECORDINGS, self.most["scored"]),
            must(tf.equal(tf.size(samples), batch), "samples must be one number a recording"),
            must(tf.reduce_all((samples >= 0) & (samples <= longest)), "samples must be 0 to the length of the audio"),
        ]
        label = of_classes.checked(label, self.num_classes)
        with tf.control_dependencies(bounds):
            audio = _finite("audio", audio)
        # No network reads an empty batch or no steps; the answer leaves out what is added here.
        audio = tf.pad(audio, [[0, tf.maximum(1 - batch, 0)], [0, tf.maximum(1 - longest, 0)]])
        counts = tf.pad(samples, [[0, tf.maximum(1 - batch, 0)]])
        levels = self.preprocess(audio)
        total = of_classes.log_likelihood(lambda label: self._log_prob(levels, counts, label), label, self.num_classes)
        total = tf.where(counts > 0, total, 0.0)
        mean = -total / tf.cast(tf.maximum(counts, 1), tf.float32)
        mean = tf.where(counts > 0, mean, 0.0)
        return {"log_likelihood": total[:batch], "nats_per_sample": mean[:batch]}

    def sample(self, n, length, temperature, seed, label=None):
        label = of_classes.checked(label, self.num_classes)
        bounds = [
            must(n >= 0, tf.strings.format("n must not be negative; got {}", n)),
            at_most(n, self.most["recordings"], "n: a request", "recordings"),
        ]
        with tf.control_dependencies(bounds):
            rows = tf.identity(n)

        def labels_of(levels):
            return of_classes.in_turn(label, rows, self.num_classes)

        return {"audio": self._continued("n", tf.zeros([rows, 0]), length, temperature, seed, labels_of)}

    def generate(self, prime, length, temperature, seed, label=None):
        label = of_classes.checked(label, self.num_classes)

        def labels_of(levels):
            batch, given = tf.unstack(tf.shape(levels))
            if not self.num_classes:
                return None
            counts = tf.fill([batch], given)
            return of_classes.likeliest(
                lambda label: self._log_prob(levels, counts, label), label, batch, self.num_classes
            )

        return {"audio": self._continued("prime", prime, length, temperature, seed, labels_of)}

    def _continued(self, who, prime, length, temperature, seed, labels_of):
        """The prime (B, T) and `length` samples that are drawn after it; labels_of(levels) -> labels (B,), or None."""
        batch, given = tf.unstack(tf.shape(prime))
        most = self.most
        with tf.control_dependencies(sampling(length, temperature, most["drawn"], "samples")):
            drawn = tf.identity(length)
        bounds = [
            *_bounds(who, batch, given, most["recordings"], most["scored"]),
            *_bounds(f"{who} and length", batch, drawn, most["recordings"], most["drawn_of_all"]),
        ]
        with tf.control_dependencies(bounds):
            known, drawn = _finite(who, prime), tf.identity(drawn)
        known = tf.pad(known, [[0, tf.cast(tf.equal(batch, 0), tf.int32)], [0, 0]])  # a row for no recordings
        levels, rows = self.preprocess(known), tf.shape(known)[0]
        labels = labels_of(levels)
        if labels is not None:  # of no recordings: a row too
            labels = tf.pad(labels, [[0, rows - tf.size(labels)]])
        memory, state = self._begin(rows, labels)
        silence = tf.fill([rows, 1], self.preprocess.silence)
        before = tf.concat([silence, levels], 1)  # of these the last is the first input of generation

        def read():
            return self._read(before[:, :-1], state, memory, lambda parameters, start: ())[1]

        state = tf.cond(given > 0, read, lambda: state)
        step, draw = decoding.step_function(self.model, memory), self.model.draw(seed, temperature)
        following = decoding.generate(step, state, before[:, -1], drawn, draw)[0]
        return tf.concat([prime, self.preprocess.inverse(following[:batch])], 1)

    def _decoded(self, data):
        """The samples (T,) of a WAV file."""
        values, rate = tf.audio.decode_wav(data)
        sentence = tf.strings.format(
            f"audio_bytes: a file must have {self.preprocess.rate} samples per second; got {{}}", rate
        )
        with tf.control_dependencies([must(tf.equal(rate, self.preprocess.rate), sentence)]):
            mono = tf.reduce_mean(values, 1)
        return tf.RaggedTensor.from_tensor(mono[None])[0]

    def _begin(self, rows, labels):
        return self.model.begin(rows=rows) if labels is None else self.model.begin(labels)

    def _log_prob(self, levels, counts, label):
        """log p of recordings of one class: levels (B, T), counts (B,) -> (B,)."""
        batch = tf.shape(levels)[0]
        labels = None if label is None else tf.fill([batch], label)
        memory, state = self._begin(batch, labels)

        def of_part(parameters, start):
            end = start + tf.shape(parameters)[1]
            log_probs = self.model.distribution(parameters).log_prob(levels[:, start:end])
            return tf.reduce_sum(tf.where(tf.range(start, end) < counts[:, None], log_probs, 0.0), 1)

        return self._read(self.preprocess.delayed(levels), state, memory, of_part)[0]

    def _read(self, levels, state, memory, of_part):
        """(the sum over parts of of_part(parameters (B, P, ...), start), the state after the last step).

        Args:
            levels: (B, T), what is read; T at least 1. It is read in parts of at most limits()["at_once"] samples.
            of_part: its result is summed over the parts; () for nothing.
        """
        batch, steps = tf.unstack(tf.shape(levels))
        size = tf.clip_by_value(self.most["at_once"] // batch, 1, steps)

        def body(start, state, total):
            parameters, state = self.model.read(levels[:, start : start + size], state, memory)
            following = of_part(parameters, start)
            return start + size, state, tf.nest.map_structure(tf.add, total, following)

        empty = of_part(tf.zeros([batch, 0, self.model.output.shape[-1]]), tf.constant(0))
        _, state, total = tf.while_loop(
            lambda start, *_: start < steps, body, (tf.constant(0), state, tf.nest.map_structure(tf.zeros_like, empty)),
            parallel_iterations=1,
        )  # fmt: skip
        return total, state


def _bounds(who, batch, samples, recordings, most):
    """Assertions on the number of recordings of a request and of their samples."""
    of_all = tf.cast(batch, tf.int64) * tf.cast(samples, tf.int64)
    return [
        at_most(batch, recordings, f"{who}: a request", "recordings"),
        at_most(of_all, most, f"{who}: a recording", "samples, or as many in all if each counts as the longest"),
    ]


def _finite(who, values):
    """The values, with an assertion that none is nan or infinite."""
    finite = must(tf.reduce_all(tf.math.is_finite(values)), f"{who} must hold finite numbers")
    with tf.control_dependencies([finite]):
        return tf.identity(values)
