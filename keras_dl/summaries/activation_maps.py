"""Where a classifier looks: class-activation maps by the gradient, of pictures, sounds and volumes.

Source: Selvaraju et al., "Grad-CAM" (arXiv:1610.02391), equations 1 and 2: of the maps A^k of the last convolution and
the logit y^c of a class,

    alpha_k = mean over positions of dy^c / dA^k        L^c = max(0, sum_k alpha_k A^k)

Of a network that averages its maps and has a linear layer after it, that is the class-activation map of Zhou et al.
(arXiv:1512.04150), sum_k w_k^c A^k, divided by the number of positions, without its negative part.
Shapes: B examples, K classes; space stands for H, W of pictures, T of sounds, D, H, W of volumes.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_dl.figures import figure_of, plain
from keras_dl.wording import percent

SHOWN = 6  # examples of a figure, at most
OPAQUE = 0.45  # of the colours over a picture
NAME = 16  # characters of a class's name


def maps_layer(model):
    """The layer whose maps are weighted, None if the model has none.

    It is the last one that has channels and as many axes of space as the input, with more than one position along each
    axis on which the input has more than one.
    """
    space = _space(model.input_shape)
    for layer in reversed(model.layers):
        shape = getattr(layer.output, "shape", ())
        if layer.output is model.input or len(shape) != len(space) + 2:
            continue
        if all(size is None or size > 1 or of_input == 1 for size, of_input in zip(shape[1:-1], space, strict=True)):
            return layer
    return None


def grad_cam(model, layer=None):
    """The function that computes class-activation maps.

    Args:
        model: one input -> logits (B, K).
        layer: its layer whose maps are weighted; None: maps_layer(model).

    Returns:
        f(x (B, ...), classes (B,) int or None for the best of each) -> (maps float32 (B, *space of the layer), not
        negative; logits float32 (B, K)).

    Raises:
        ValueError: the model has no layer with maps.
    """
    layer = layer or maps_layer(model)
    if layer is None:
        raise ValueError(f"grad_cam: {model.name} must have a layer with maps over the input; it has none.")
    both = keras.Model(model.input, [layer.output, model.output])

    @tf.function(autograph=False, reduce_retracing=True)
    def maps_of(x, classes=None):
        with tf.GradientTape() as tape:
            tape.watch(x)
            maps, logits = both(x, training=False)
            logits = tf.cast(logits, tf.float32)
            classes = tf.argmax(logits, -1) if classes is None else classes
            of_class = tf.gather(logits, classes, axis=1, batch_dims=1)
        gradient = tf.cast(tape.gradient(of_class, maps), tf.float32)
        positions = list(range(1, len(maps.shape) - 1))
        alpha = tf.reduce_mean(gradient, positions, keepdims=True)
        return tf.nn.relu(tf.reduce_sum(alpha * tf.cast(maps, tf.float32), -1)), logits

    return maps_of


def enlarged(maps, space):
    """Maps (B, *small) at the size of the input, (B, *space), by linear interpolation along each axis."""
    for axis, size in enumerate(space, start=1):
        given = maps.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * given / size - 0.5, 0, given - 1)  # of the centres, in given ones
        below = np.minimum(place.astype(int), max(0, given - 2))
        share = (place - below).reshape([-1 if k == axis else 1 for k in range(maps.ndim)])
        above = np.minimum(below + 1, given - 1)
        maps = (1 - share) * np.take(maps, below, axis) + share * np.take(maps, above, axis)
    return maps


def pictures_figure(images, maps, titles, title=""):
    """A figure of pictures, and beside each the same under the colours of its map.

    Args:
        images: uint8 (N, h, w, C).
        maps: float (N, H, W), of any size; each is shown by itself, from 0 to its largest value.
        titles: a text above each.
        title: what they are of, such as the split.
    """
    count = max(1, len(images))
    figure = figure_of(3.6, 0.5 + 1.7 * count)
    figure.suptitle(title, fontsize=9)
    for row, (image, heat, text) in enumerate(zip(images, maps, titles, strict=True)):
        beside = figure.add_subplot(count, 2, 2 * row + 1), figure.add_subplot(count, 2, 2 * row + 2)
        for axes in beside:
            axes.imshow(image.squeeze(), cmap="gray" if image.shape[-1] == 1 else None, vmin=0, vmax=255)
            axes.axis("off")
        beside[0].set_title(text, fontsize=8)
        heat = enlarged(heat[None], image.shape[:2])[0]
        beside[1].imshow(heat, cmap="inferno", alpha=OPAQUE, vmin=0, vmax=max(float(heat.max()), 1e-9))
    return figure


def inputs_figure(x, maps, titles, title=""):
    """A figure of what a model of sounds or volumes reads, under the colours of its maps.

    Args:
        x: float (N, T) of sounds, or (N, D, H, W, C) of volumes, whose first channel is drawn.
        maps: float (N, *space), of any size; each is shown by itself, from 0 to its largest value.
        titles: a text above each.
        title: what they are of, such as the split.
    """
    sounds = x.ndim == 2
    count, columns = max(1, len(x)), 1 if sounds else 3
    figure = figure_of(4.5, 0.5 + (1.1 if sounds else 1.7) * count)
    figure.suptitle(title, fontsize=9)
    for row, (values, heat, text) in enumerate(zip(x, maps, titles, strict=True)):
        values = values if sounds else values[..., 0]
        heat = enlarged(heat[None], values.shape)[0]
        scale = {"cmap": "inferno", "vmin": 0, "vmax": max(float(heat.max()), 1e-9)}
        for axis in range(columns):
            axes = figure.add_subplot(count, columns, columns * row + axis + 1)
            if sounds:
                axes.imshow(heat[None], aspect="auto", extent=(0, len(values), -1, 1), alpha=OPAQUE, **scale)
                axes.plot(np.arange(len(values)) + 0.5, values, color="black", linewidth=0.4)
                axes.set(xlim=(0, len(values)), ylim=(-1, 1))
            else:  # the plane through the middle, along each axis
                middle = values.shape[axis] // 2
                axes.imshow(values.take(middle, axis).T, cmap="gray", origin="lower")
                axes.imshow(heat.take(middle, axis).T, alpha=OPAQUE, origin="lower", **scale)
            axes.set_title(text.replace("\n", " ") if axis == 0 else "", fontsize=8, loc="left")
            axes.axis("off")
    return figure


def of_examples(model, x, labels, classes):
    """The maps of the classes that a model takes its examples for.

    Args:
        model: one input -> logits (B, K), with a layer with maps.
        x: (B, ...), what it reads.
        labels: int (B,), the true classes.
        classes: names of the K classes.

    Returns:
        (maps float32 (B, *space of the layer), texts such as "cat taken for dog (81%)" or "cat (99%)").
    """
    maps, logits = grad_cam(model)(tf.convert_to_tensor(x))
    best, shares = logits.numpy().argmax(-1), tf.nn.softmax(logits).numpy().max(-1)
    names, texts = [plain(name, NAME) for name in classes], []
    for label, taken, share in zip(labels, best, shares, strict=True):
        wrong = "" if taken == label else f"{names[label]} taken for\n"
        texts.append(f"{wrong}{names[taken]} ({percent(share)})")
    return maps.numpy(), texts


def _space(shape):
    """The axes of space of an input: all but the batch's and the channels'; of a sound, (samples,)."""
    return shape[1:] if len(shape) == 2 else shape[1:-1]
