"""What a classifier answers, whatever it reads: the best classes, their probabilities, and those of all."""

from keras_dl.features.classes import BestLabels, BestProbabilities, Label, Probabilities
from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

TOP = 5  # classes that an answer lists


def check_logits(who, model, classes):
    """Raise ValueError unless the model has one logit per class."""
    if model.output_shape[-1] != len(classes):
        raise ValueError(
            f"{who}: the model must have one logit a class; got {counted(model.output_shape[-1], 'logits')} and "
            f"{counted(len(classes), 'classes')}."
        )


def outputs(names):
    """{output: its feature} of `answer`."""
    names = tuple(names)
    return {
        "class": Label(names), "classes": BestLabels(names), "scores": BestProbabilities(),
        "probabilities": Probabilities(names),
    }  # fmt: skip


def answer(probabilities, names):
    """The outputs for probabilities (B, K): "class" (B,), the best name; "classes" and "scores" (B, min(TOP, K)), names
    and probabilities of the best classes, best first; "probabilities" (B, K)."""
    top = tf.math.top_k(probabilities, min(TOP, len(names)))
    best = tf.gather(tf.constant(names), top.indices)
    return {"class": best[:, 0], "classes": best, "scores": top.values, "probabilities": probabilities}
