"""What an image classifier can be asked.

Shapes: B pictures a request, h x w pixels as they come, H x W as the model takes them, C channels, K classes.
"""

from keras_dl.endpoints import Endpoint, at_most
from keras_dl.runtime import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

TOP = 5  # classes that an answer lists
MOST_PICTURES = 1024  # a request; a server checks none of these
MOST_BYTES = 2**25  # an encoded picture
MOST_PIXELS = 2**25  # a decoded picture; checked in its header, before it is decoded
AT_ONCE = 4  # pictures that are decoded side by side
PNG, GIF, BMP, JPEG = b"\x89PNG", b"GIF8", b"BM", b"\xff\xd8\xff"
HEAD = 26  # bytes in which PNG, GIF and BMP say their size


def classifier(model, preprocess, classes):
    """Endpoints of an image classifier.

    Args:
        model: (B, H, W, C) float32 -> logits (B, K).
        preprocess: decode(bytes) -> uint8 (h, w, C), resize(uint8) -> (H, W, C) grey levels, standardise.
        classes: K names.

    Returns:
        {"serving_default": "image_bytes" (B,) strings, encoded JPEG, PNG, GIF or BMP of any size,
        "serve": "image" (B, h, w, C) uint8}; both answer "class" (B,) the best name, "classes" (B, k) names and
        "scores" (B, k) probabilities of the k = min(5, K) best, best first, and "probabilities" (B, K).

    Raises:
        ValueError: the model has not one logit a class.
    """
    channels = preprocess.input_shape[2]
    if model.output_shape[-1] != len(classes):
        raise ValueError(
            f"export.classifier: the model must have one logit a class; got {model.output_shape[-1]} logits "
            f"and {len(classes)} classes."
        )
    names = [str(name) for name in classes]

    def answer(levels):
        logits = model(preprocess.standardise(levels), training=False)
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
        top = tf.math.top_k(probabilities, min(TOP, len(names)))
        best = tf.gather(tf.constant(names), top.indices)
        return {"class": best[:, 0], "classes": best, "scores": top.values, "probabilities": probabilities}

    def from_bytes(image_bytes):
        at_most(tf.shape(image_bytes)[0], MOST_PICTURES, "image_bytes: a request", "pictures")

        def one(data):
            with tf.control_dependencies(_within_bounds(data)):
                return preprocess.resize(preprocess.decode(tf.identity(data)))

        levels = tf.TensorSpec(preprocess.input_shape, tf.float32)
        return answer(tf.map_fn(one, image_bytes, fn_output_signature=levels, parallel_iterations=AT_ONCE))

    def from_pixels(image):
        shape = tf.shape(image, tf.int64)
        bounds = [
            at_most(shape[0], MOST_PICTURES, "image: a request", "pictures"),
            at_most(shape[1] * shape[2], MOST_PIXELS, "image: a picture", "pixels"),
        ]
        with tf.control_dependencies(bounds):
            return answer(preprocess.resize(tf.identity(image)))

    answers = {name: name for name in ("class", "classes", "scores", "probabilities")}
    encoded = tf.TensorSpec((None,), tf.string, "image_bytes")
    raw = tf.TensorSpec((None, None, None, channels), tf.uint8, "image")
    about = {"classes": names}
    return {
        "serving_default": Endpoint(from_bytes, (encoded,), {"image_bytes": "image_bytes", **answers}, about=about),
        "serve": Endpoint(from_pixels, (raw,), {"image": "image", **answers}, about=about),
    }


def _within_bounds(data):
    """Checks that an encoded picture is small enough, by its length and by what its header says."""
    length = at_most(tf.strings.length(data), MOST_BYTES, "image_bytes: a picture", "bytes")
    with tf.control_dependencies([length]):
        return [at_most(_pixels(tf.identity(data)), MOST_PIXELS, "image_bytes: a picture", "pixels")]


def _pixels(data):
    """h * w as the header of PNG, GIF, BMP or JPEG says; 0 for what is none of them (decoding will refuse it)."""
    padded = tf.strings.join([data, tf.constant(b"\0" * HEAD)])
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(padded, 0, HEAD), tf.uint8), tf.int64)

    def starts(magic):
        return tf.equal(tf.strings.substr(padded, 0, len(magic)), magic)

    def number(*places):  # the most significant byte first
        return sum(head[place] * 256 ** (len(places) - 1 - i) for i, place in enumerate(places))

    def bmp():
        height = number(25, 24, 23, 22)  # two's complement: negative where rows go from top to bottom
        return number(21, 20, 19, 18) * tf.minimum(height, 2**32 - height)

    return tf.case(
        [
            (starts(PNG), lambda: number(16, 17, 18, 19) * number(20, 21, 22, 23)),
            (starts(GIF), lambda: number(7, 6) * number(9, 8)),
            (starts(BMP), bmp),
            (starts(JPEG), lambda: tf.reduce_prod(tf.io.extract_jpeg_shape(data, tf.int64)[:2])),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )
