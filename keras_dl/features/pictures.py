"""Decodes picture files: the one decoder for training, `predict` and exports.

It consists of TensorFlow operations only, so that an export needs no other library, and of integer arithmetic only, so
that pixels are bit-equal everywhere. A file that is too large is refused by its header, before anything is decoded.
"""

import functools
import re

from keras_dl.errors import UserError
from keras_dl.features import headers
from keras_dl.imports import tensorflow as tf

MOST_BYTES = 2**25  # of a file
MOST_PIXELS = 2**25  # of a picture
MOST_SIDE = 2**14  # pixels
MOST_SCANS = 64  # of a JPEG: a progressive one has about ten
STRIP = 2**19  # pixels whose colours are converted at once
LUMA = (299, 587, 114)  # thousandths, ITU-R BT.601
READABLE = f"{', '.join(headers.FORMATS[:-1])} or {headers.FORMATS[-1]}"
DAMAGED = "damaged"
NO_FORMAT = headers.NO_FORMAT


def decode(data, channels):
    """Decode a picture, turned upright by its Exif orientation, transparent pixels blended with white.

    Args:
        data: scalar string, the bytes of a JPEG, PNG, BMP, GIF (its first frame) or WebP (no animation).
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 (h, w, channels).

    Raises:
        tf.errors.InvalidArgumentError: it has too many bytes or pixels, another format, or is damaged; `reason` gives
            the reason.
    """
    return _decoder(channels)(tf.convert_to_tensor(data, tf.string))


def pixels(data):
    """int64: height times width of a picture, from its header alone.

    Raises:
        tf.errors.InvalidArgumentError: as in decode, except for damage after the header.
    """
    return _counter()(tf.convert_to_tensor(data, tf.string))


def read(path):
    """The bytes of a file.

    Raises:
        UserError: it has more than MOST_BYTES.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:  # not tf.io: TensorFlow takes some paths for patterns or addresses
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"a picture may have at most {MOST_BYTES} bytes")
    return data


def reason(error):
    """Why a picture was refused, in a few words: "above 33554432 pixels", "HEIC", "damaged"."""
    bound = re.search(r"a picture may have at most (\d+ [a-z ]+)", str(error))
    other = re.search(r"a picture must be [^;\]]*; got ([^\].]+)", str(error))
    return f"above {bound[1]}" if bound else other[1] if other else DAMAGED


@functools.cache  # tracing takes seconds, and a plain tf.function would be traced again for an export
def _decoder(channels):
    return _traced(lambda data: _decode(data, channels))


@functools.cache
def _counter():
    return _traced(_count_pixels)


def _traced(function):
    return tf.function(function, [tf.TensorSpec([], tf.string)], autograph=False).get_concrete_function()


def _decode(data, channels):
    readers = [_jpeg, _png, _gif, _bmp, _webp]
    picture, exif = _by_format(data, readers, (tf.zeros([0, 0, 1], tf.uint8), tf.constant(b"")))
    return _colours(_upright(picture, exif), channels)


def _count_pixels(data):
    sizes = [
        headers.jpeg_size,
        headers.png_size,
        headers.gif_size,
        lambda data: headers.Bitmap(data).size,
        headers.webp_size,
    ]
    readers = [lambda data, size=size: _product(data, size(data)) for size in sizes]
    return _by_format(data, readers, tf.constant(0, tf.int64))


def _by_format(data, readers, nothing):
    """Call the reader of the file's format, which is one of `readers`, sorted like headers.FORMATS.

    nothing: tensors of the types that readers return, for the branch in which the file is refused.
    """
    with tf.control_dependencies([_require(tf.strings.length(data) <= MOST_BYTES, _at_most(MOST_BYTES, "bytes"))]):
        data = tf.identity(data)

    def refused():
        words = tf.strings.join([f"a picture must be {READABLE}; got ", headers.name_of(data)])
        with tf.control_dependencies([_require(False, words)]):
            return tf.nest.map_structure(tf.identity, nothing)

    return tf.switch_case(headers.format_of(data), [*[lambda it=it: it(data) for it in readers], refused])


def _within_bounds(data, size, scans=0):
    """`data`, with the check that its size, (2,) height and width, is within the bounds.

    Operations that use the result run only after the check has passed.
    """
    values = tf.stack([tf.reduce_prod(size), tf.reduce_max(size), tf.cast(scans, tf.int64), -tf.reduce_min(size)])
    most = [MOST_PIXELS, MOST_SIDE, MOST_SCANS, -1]
    words = [_at_most(MOST_PIXELS, "pixels"), _at_most(MOST_SIDE, "pixels a side"), _at_most(MOST_SCANS, "scans")]
    beyond = values > most
    with tf.control_dependencies(
        [_require(~tf.reduce_any(beyond), tf.gather([*words, "no pixels"], tf.argmax(beyond)))]
    ):
        return tf.identity(data)


def _product(data, size):
    with tf.control_dependencies([_within_bounds(data, size)]):
        return tf.reduce_prod(size)


def _at_most(most, unit):
    return f"a picture may have at most {most} {unit}"


def _require(condition, words):
    return tf.raw_ops.Assert(condition=condition, data=[words])  # tf.debugging.Assert would add a branch


def _decoded(data):
    return tf.io.decode_image(data, expand_animations=False)


def _jpeg(data):
    data = _within_bounds(data, headers.jpeg_size(data), headers.jpeg_scans(data, MOST_SCANS))
    return _decoded(data), headers.jpeg_exif(data)


def _png(data):
    data = _within_bounds(data, headers.png_size(data))
    picture = tf.cond(
        headers.png_hides_a_colour(data),
        lambda: tf.io.decode_png(data, channels=4),  # otherwise the transparent colour would be visible
        lambda: tf.io.decode_png(data),
    )
    return picture, headers.png_exif(data)


def _webp(data):
    words = f"a picture must be {READABLE}; got animated WebP"  # TensorFlow 2.21 writes beyond its buffer
    with tf.control_dependencies([_require(~headers.webp_is_animated(data), words)]):
        data = _within_bounds(data, headers.webp_size(data))
    return _decoded(data), headers.webp_exif(data)


def _gif(data):
    """The first frame, at its place in the picture; the rest of the picture is transparent, so white."""
    alone, corner, size = headers.gif_first_frame(data)
    frame = _decoded(_within_bounds(alone, size))
    behind = size - corner - tf.shape(frame, tf.int64)[:2]
    around = tf.concat([tf.stack([corner, behind], 1), [[0, 0]]], 0)
    return tf.pad(frame, around, constant_values=255), tf.constant(b"")


def _bmp(data):
    bitmap = headers.Bitmap(data)
    data, bits = _within_bounds(data, bitmap.size), bitmap.bits
    stored = tf.reduce_any(tf.equal(bits, [8, 24, 32])) & (bitmap.header >= 40)
    plain = tf.equal(bitmap.compression, 0) | (bitmap.has_masks & bitmap.usual_masks & tf.equal(bits, 32))
    words = "a picture must be a BMP of 8, 24 or 32 bits a pixel, not compressed; got another BMP"
    with tf.control_dependencies([_require(stored & plain, words)]):
        picture = _decoded(
            tf.strings.substr(data, tf.constant(0, tf.int64), bitmap.length)
        )  # some programs write more after the pixels

    def from_palette():
        raw = tf.io.decode_raw(data, tf.uint8)[14 + bitmap.header : bitmap.pixels_at]
        entries = tf.reshape(raw[: tf.size(raw) // 4 * 4], [-1, 4])[:, 2::-1]  # stored as blue, green, red, 0
        return tf.gather(entries, tf.cast(picture[..., 0], tf.int32))

    def four_bytes():
        # Programs without transparency leave the fourth byte 0 even if the header calls it alpha.
        transparent = bitmap.has_alpha & tf.reduce_any(picture[..., 3:] > 0)
        return tf.cond(transparent, lambda: picture, lambda: picture[..., :3])

    cases = [(tf.equal(bits, 8), from_palette), (tf.equal(bits, 32), four_bytes)]
    return tf.case(cases, default=lambda: picture), tf.constant(b"")


def _upright(picture, exif):
    """Turn and mirror a picture as the orientation in its Exif block says; b"" for none."""

    def turned():
        # 2 is mirrored, 3 rotated by 180 degrees, 4 flipped upside down; 5 to 8 lie on their side.
        orientation = headers.orientation_of(exif)
        upright = tf.cond(orientation >= 5, lambda: tf.transpose(picture, [1, 0, 2]), lambda: picture)
        mirrored = tf.reduce_any(tf.equal(orientation, [2, 3, 6, 7]))
        upright = tf.cond(mirrored, lambda: tf.reverse(upright, [1]), lambda: upright)
        upside_down = tf.reduce_any(tf.equal(orientation, [3, 4, 7, 8]))
        return tf.cond(upside_down, lambda: tf.reverse(upright, [0]), lambda: upright)

    return tf.cond(tf.strings.length(exif) > 8, turned, lambda: picture)


def _colours(picture, channels):
    """uint8 (h, w, 1 to 4), grey or colour, with or without alpha -> uint8 (h, w, channels)."""
    stored = tf.shape(picture)[2]
    order = tf.gather([[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 2, 2], [0, 1, 2, 3]], stored - 1)  # red, green, blue, alpha
    opaque = tf.equal(stored % 2, 1)

    def convert(strip):
        levels = tf.gather(tf.cast(strip, tf.int32), order, axis=-1)
        alpha = tf.where(opaque, 255, levels[..., 3:])
        on_white = (levels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        return on_white if channels == 3 else (tf.reduce_sum(on_white * LUMA, -1, keepdims=True) + 500) // 1000

    as_it_is = tf.equal(stored, channels)
    picture = tf.cond(as_it_is, lambda: picture, lambda: _by_strips(convert, picture, channels))
    return tf.ensure_shape(picture, [None, None, channels])


def _by_strips(convert, picture, channels):
    """Apply `convert` to a strip of rows at a time, (h, w, channels): at once it would need many times the memory."""
    height, width = tf.shape(picture)[0], tf.shape(picture)[1]
    rows = tf.maximum(STRIP // width, 1)
    count = (height + rows - 1) // rows
    shape = [None, None, channels]
    strips = tf.TensorArray(tf.uint8, count, element_shape=shape, infer_shape=False)

    def one(i, strips):
        strip = tf.cast(convert(picture[i * rows : (i + 1) * rows]), tf.uint8)
        return i + 1, strips.write(i, tf.ensure_shape(strip, shape))

    return tf.while_loop(lambda i, _: i < count, one, (0, strips), parallel_iterations=1)[1].concat()
