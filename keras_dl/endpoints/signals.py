"""Endpoints of classifiers of sounds and of volumes.

Shapes: B sounds or volumes per request, T samples, D x H x W voxels, K classes.
"""

import math

from keras_dl.endpoints import Endpoint, at_most, best_classes, recordings
from keras_dl.endpoints.recordings import MOST_RECORDINGS
from keras_dl.features.audio import MOST_BYTES, Audio, AudioSamples, EncodedAudio
from keras_dl.features.volumes import Volume, VolumeScaling
from keras_dl.features.waveform import Waveform
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_VOLUMES = 256  # per request
PRODUCTS = 2**37  # of a request: multiplications of all its convolutions, three seconds on two cores
FLOATS = 2**26  # numbers of the largest layer, of all sounds or volumes of a request
MOST_SAMPLES = 2**22  # of the recordings of a request


def signal_classifier(model, preprocess, classes, examples=None):
    """Endpoints of a classifier of sounds or of volumes.

    Args:
        model: what the pre-processing makes -> logits (B, K).
        preprocess: features.waveform.Waveform or features.volumes.VolumeScaling.
        classes: K names.
        examples: with which an export is tested: float (n, T) from -1 to 1, or (n, D, H, W); None: a ticking, or noise.

    Returns:
        Of sounds {"serving_default": input "audio_bytes" (B,) strings, WAV files of 16 bits at the model's rate,
        "serve": inputs "audio" (B, T) float32 from -1 to 1 and "samples" (B,), their lengths}; of volumes
        {"serving_default": input "volume" (B, D, H, W) float32 of the model's size, whatever their scale}. All return
        what endpoints.best_classes says. The answer to an empty request has no rows.

    Raises:
        ValueError: the model does not have one logit per class.
        KeyError: a pre-processing of another kind.
    """
    best_classes.check_logits("export.signal_classifier", model, classes)
    names = [str(name) for name in classes]

    def answer(x):
        """Of what the model reads, (B, ...); no network reads an empty batch."""
        batch = tf.shape(x)[0]
        x = tf.pad(x, [[0, tf.cast(tf.equal(batch, 0), tf.int32)], *[[0, 0]] * (len(x.shape) - 1)])
        logits = tf.cast(model(x, training=False), tf.float32)
        return best_classes.answer(tf.nn.softmax(logits)[:batch], names)

    return KINDS[type(preprocess)](answer, preprocess, best_classes.outputs(names), most_examples(model), examples)


def most_examples(model):
    """The largest number of sounds or volumes of a request, by the model's size, so that no request takes long."""
    products, floats = 1, 1
    for layer in model.layers:
        kernel, shape = getattr(layer, "kernel", None), getattr(layer.output, "shape", None)
        if shape is None or None in shape[1:]:
            continue
        floats = max(floats, math.prod(shape[1:]))
        if kernel is not None:
            products += math.prod(shape[1:-1]) * math.prod(kernel.shape)
    return max(1, min(MOST_VOLUMES, PRODUCTS // products, FLOATS // floats))


def _sounds(answer, preprocess, outputs, most, examples):
    most = min(most, MOST_RECORDINGS)
    given = Audio(preprocess.rate, examples=examples)
    limits = {"recordings": most, "samples_of_all": MOST_SAMPLES}

    def from_files(audio_bytes):
        return from_samples(*recordings.from_files(audio_bytes, preprocess.rate, MOST_SAMPLES))

    def from_samples(audio, samples):
        batch, longest = tf.unstack(tf.shape(audio))
        checks = recordings.bounds("audio", batch, longest, most, MOST_SAMPLES)
        with tf.control_dependencies([*checks, *recordings.lengths_hold(samples, batch, longest)]):
            audio = recordings.finite("audio", audio)
        return answer(preprocess.of_each(tf.clip_by_value(audio, -1.0, 1.0), samples))

    why_not = "neither format computes a Fourier transform of sounds of several lengths"
    return {
        "serving_default": Endpoint(
            from_files, {"audio_bytes": EncodedAudio(preprocess.rate, examples=examples)}, outputs,
            limits={**limits, "bytes": MOST_BYTES}, portable=why_not,
        ),
        "serve": Endpoint(
            from_samples, {"audio": given, "samples": AudioSamples()}, outputs, limits=limits, portable=why_not
        ),
    }  # fmt: skip


def _volumes(answer, preprocess, outputs, most, examples):
    def from_voxels(volume):
        with tf.control_dependencies([at_most(tf.shape(volume)[0], most, "volume: a request", "volumes")]):
            volume = recordings.finite("volume", volume)
        return answer(preprocess(volume))

    feature = Volume(preprocess.size, preprocess.spacing, examples)
    why_not = "kernels of three axes were not measured in either format"
    return {
        "serving_default": Endpoint(
            from_voxels, {"volume": feature}, outputs, limits={"volumes": most}, portable=why_not
        )
    }


KINDS = {Waveform: _sounds, VolumeScaling: _volumes}  # the pre-processing says what is read
