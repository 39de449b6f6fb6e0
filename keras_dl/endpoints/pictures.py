"""The pictures of a request: what is checked of them inside the graph, and how they become the model's size.

Shapes: B pictures per request, h x w pixels of the given pictures, H x W of the model's input, C channels.
"""

from keras_dl.endpoints import at_most, must
from keras_dl.features import pictures
from keras_dl.features.pictures import MOST_BYTES, MOST_PIXELS, MOST_SIDE
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_PICTURES = 1024  # per request; a server itself checks no such bounds
MOST_OF_ALL = 2**27  # pixels of all pictures of a request
AT_ONCE = 2  # pictures that are decoded in parallel


def limits(most=MOST_PICTURES):
    """{quantity: the most that a request may have}, for requests of at most `most` pictures."""
    return {"pictures": most, "pixels": MOST_PIXELS, "side": MOST_SIDE, "pixels_of_all": MOST_OF_ALL}


def limits_of_files(most=MOST_PICTURES):
    """`limits` for pictures that are sent as files."""
    return {**limits(most), "bytes": MOST_BYTES}


def from_files(image_bytes, preprocess, most=MOST_PICTURES):
    """Decode and resize the pictures of a request.

    Args:
        image_bytes: (B,) strings, encoded JPEG, PNG, GIF, BMP or WebP of any size.
        preprocess: has `input_shape` (H, W, C), `decode` and `resize`, as features.image.Preprocess.
        most: the largest B.

    Returns:
        float32 (B, H, W, C), whole grey levels from 0 to 255.
    """
    count = tf.shape(image_bytes)[0]
    with tf.control_dependencies([at_most(count, most, "image_bytes: a request", "pictures")]):
        image_bytes = tf.identity(image_bytes)

    def of_all():
        return tf.reduce_sum(tf.map_fn(pictures.pixels, image_bytes, fn_output_signature=tf.int64))

    # For a single picture the decoder checks the bound itself.
    together = tf.cond(count > 1, of_all, lambda: tf.constant(0, tf.int64))
    with tf.control_dependencies([at_most(together, MOST_OF_ALL, "image_bytes: a request", "pixels in all")]):
        image_bytes = tf.identity(image_bytes)
    levels = tf.TensorSpec(preprocess.input_shape, tf.float32)
    return tf.map_fn(
        lambda data: preprocess.resize(preprocess.decode(data)), image_bytes, fn_output_signature=levels,
        parallel_iterations=AT_ONCE,
    )  # fmt: skip


def from_pixels(image, preprocess, most=MOST_PICTURES):
    """Resize the pictures of a request, uint8 (B, h, w, C); otherwise as from_files."""
    channels = preprocess.input_shape[2]
    count, height, width, _ = tf.unstack(tf.shape(image, tf.int64))
    bounds = [
        at_most(count, most, "image: a request", "pictures"),
        at_most(height * width, MOST_PIXELS, "image: a picture", "pixels"),
        at_most(count * height * width, MOST_OF_ALL, "image: a request", "pixels in all"),
        must(tf.equal(count, 0) | (height * width > 0), "image: a picture must have at least one pixel"),
    ]
    with tf.control_dependencies(bounds):  # so that the message is about these bounds first
        side = at_most(tf.maximum(height, width), MOST_SIDE, "image: a picture", "pixels a side")
    with tf.control_dependencies([side]):
        image = tf.identity(image)
    # A request without pictures may have height or width 0, which cannot be resized.
    image = tf.cond(height * width > 0, lambda: image, lambda: tf.zeros([0, 1, 1, channels], tf.uint8))
    image = tf.ensure_shape(image, [None, None, None, channels])
    return preprocess.resize(image)


def of_the_models_size(preprocess, examples):
    """Examples as uint8 (n, H, W, C), which no format has to resize; None if there are none."""
    return None if examples is None else tf.cast(preprocess.resize(examples), tf.uint8).numpy()


def resized_inside(preprocess):
    """What a file of another format does with a picture of another size, for its metadata."""
    height, width = preprocess.input_shape[:2]
    shapes = {
        "crop": "its largest part in the middle of this shape is kept",
        "pad": "it keeps its shape, between black bars",
        "stretch": "it is stretched",
    }
    return (
        f"a picture of another size becomes {height} x {width} pixels (height x width; {shapes[preprocess.fit]}; "
        "triangle filter, rounded to whole levels)"
    )


def decoded_outside(preprocess):
    """What the user of a file of another format does with picture files, for its metadata."""
    height, width = preprocess.input_shape[:2]
    return (
        "files (JPEG, PNG) are decoded by the caller, to levels from 0 to 255, upright, red before green before "
        f"blue; where the size is not {height} x {width}, the rounding of a pixel may differ by one level from the "
        "SavedModel's"
    )
