"""Reads the headers of picture files before they are decoded: format, size and orientation.

Plain TensorFlow operations over `data`, a scalar string with the file's bytes, so that training, `predict` and a served
model read alike. Nothing here needs more memory than the file itself. A truncated or invalid header raises
tf.errors.InvalidArgumentError; invalid Exif data are ignored.

Sources: JPEG: ITU-T T.81, annex B. Exif 2.3, sections 4.6.2 and 4.6.4 (Orientation). PNG (third edition), sections 5.3
and 11. GIF89a, sections 15 to 23. BMP: BITMAPINFOHEADER, BITMAPV4HEADER. WebP: RFC 9649, sections 2.5 to 2.7.
"""

from keras_dl.imports import tensorflow as tf

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WebP")  # the formats that can be decoded
SIGNATURES = (  # (format, where in _probe its signature begins, the signature); FORMATS first, in their order
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("BMP", 0, b"BM"),
    ("WebP", 12, b"RIFFWEBP"),
    ("AVIF", 4, b"ftypavi"),
    ("HEIC", 4, b"ftyphe"),
    ("HEIC", 4, b"ftypmif1"),
    ("HEIC", 4, b"ftypmsf1"),
    ("video", 4, b"ftyp"),
    ("TIFF or camera raw", 0, b"II*\0"),
    ("TIFF or camera raw", 0, b"MM\0*"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 4, b"JXL "),
    ("JPEG 2000", 4, b"jP  "),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("PDF", 0, b"%PDF"),
    ("Photoshop", 0, b"8BPS"),
    ("SVG", 0, b"<svg"),
    ("XML", 0, b"<?xml"),
    ("HTML", 0, b"<!DOCTYPE"),
    ("HTML", 0, b"<html"),
    ("ZIP", 0, b"PK\3\4"),
)
NO_BYTES, NO_FORMAT = "no bytes", "no known format"
HEAD = 128  # bytes at the start of PNG, BMP and WebP files that hold all that is read here
EXIF_WITHIN = 2**18  # bytes at the start of a JPEG that are searched for Exif data
STEPS = 10_000  # segments of a JPEG, or runs of equally long blocks of a GIF; a file with more is refused
AHEAD = 4096  # blocks of a GIF that are read at once
ORIENTATION = 0x0112  # the Exif tag


def format_of(data):
    """The index of the format in FORMATS; len(FORMATS) if it is none of them."""
    begin = _probe(data)
    _, positions, signatures = zip(*SIGNATURES[: len(FORMATS)], strict=True)
    parts = [tf.strings.substr(begin, at, len(it)) for at, it in zip(positions, signatures, strict=True)]
    hits = tf.concat([tf.equal(tf.stack(parts), signatures), [True]], 0)
    return tf.argmax(hits, output_type=tf.int32)


def name_of(data):
    """The name of the format, even if it is not in FORMATS."""
    names, positions, signatures = zip(*SIGNATURES, strict=True)
    parts = tf.strings.substr(tf.fill([len(names)], _probe(data)), positions, [len(it) for it in signatures])
    index = tf.argmax(tf.concat([tf.equal(parts, signatures), [True]], 0))
    unknown = tf.where(tf.equal(tf.strings.length(data), 0), NO_BYTES, NO_FORMAT)
    return tf.gather(tf.concat([names, [unknown]], 0), index)


def jpeg_size(data):
    """(2,) int64: height and width as stored, before the Exif orientation is applied."""
    return tf.io.extract_jpeg_shape(data, tf.int64)[:2]


def jpeg_scans(data, most):
    """The number of scans of a JPEG, counted up to `most` + 1: each scan is a pass over all pixels."""
    return tf.size(tf.strings.split(data, b"\xff\xda", maxsplit=most + 1)) - 1


def png_size(data):
    """(2,) int64: height and width."""
    head = _head(data)
    return tf.stack([_number(head, 20, 4, most_first=True), _number(head, 16, 4, most_first=True)])


def png_hides_a_colour(data):
    """Whether one colour or grey level stands for transparency (palettes not considered: they have alpha values)."""
    before = tf.strings.split(data, b"IDAT", maxsplit=1)[0]
    return _has(before, b"\0\0\0\2tRNS") | _has(before, b"\0\0\0\6tRNS")


def gif_size(data):
    """(2,) int64: height and width of the screen, extended to the part of the first frame that lies outside it."""
    raw = tf.io.decode_raw(data, tf.uint8)
    return _canvas(raw, _descriptor(raw)[0])


def webp_size(data):
    """(2,) int64: height and width."""
    head, chunk = _head(data), tf.strings.substr(data, 12, 4)
    lossless = _number(head, 21, 4)
    return tf.case(
        [
            (tf.equal(chunk, b"VP8 "), lambda: tf.stack([_number(head, 28, 2), _number(head, 26, 2)]) % 2**14),
            (tf.equal(chunk, b"VP8L"), lambda: tf.stack([lossless // 2**14 % 2**14, lossless % 2**14]) + 1),
            (tf.equal(chunk, b"VP8X"), lambda: tf.stack([_number(head, 27, 3), _number(head, 24, 3)]) + 1),
        ],
        default=lambda: tf.zeros([2], tf.int64),
    )


def webp_is_animated(data):
    return tf.equal(tf.strings.substr(data, 12, 4), b"VP8X") & (_head(data)[20] & 2 > 0)


class Bitmap:
    """The header of a BMP; `size` is (2,) int64, height and width."""

    def __init__(self, data):
        head = _head(data)
        self.pixels_at, self.header = _number(head, 10, 4), _number(head, 14, 4)
        width, height = _number(head, 18, 4), _number(head, 22, 4)
        height = tf.minimum(height, 2**32 - height)  # two's complement: negative where rows go from top to bottom
        self.size = tf.stack([height, width])
        self.bits, self.compression = _number(head, 28, 2), _number(head, 30, 4)
        masks = tf.stack([_number(head, 54 + 4 * i, 4) for i in range(4)])
        self.has_masks = tf.equal(self.compression, 3)
        self.usual_masks = tf.reduce_all(tf.equal(masks[:3], [0xFF0000, 0xFF00, 0xFF]))
        # Headers of 40 and 52 bytes end before the alpha mask: the bytes in that place are something else.
        self.has_alpha = self.has_masks & (self.header >= 56) & tf.equal(masks[3], 0xFF000000)
        row = (self.bits // 8 * width + 3) // 4 * 4  # bytes
        self.length = self.pixels_at + row * height


def gif_first_frame(data):
    """A GIF that consists of the first frame alone, with transparent pixels made white.

    Returns:
        (bytes of that GIF, (top, left) corner of the frame in the picture, (height, width) of the picture).
    """
    raw = tf.io.decode_raw(data, tf.uint8)
    at, transparent = _descriptor(raw)
    shape = tf.strings.substr(data, at + 5, 4)
    own, of_file = _number(raw, at + 9, 1), _number(raw, 10, 1)
    has_own = own >= 128
    palette_at = tf.where(has_own, at + 10, 13)
    flags = tf.where(has_own, own, of_file)
    palette = tf.strings.substr(data, palette_at, _palette_bytes(flags))
    place = 3 * transparent
    in_palette = (place >= 0) & (place < _palette_bytes(flags))
    palette = tf.cond(
        in_palette,
        lambda: tf.strings.join([_part(palette, 0, place), b"\xff\xff\xff", _part(palette, place + 3, 768)]),
        lambda: palette,
    )
    codes_at = at + 10 + _palette_bytes(own)
    codes = tf.strings.substr(data, codes_at, _after_blocks(raw, codes_at + 1) - codes_at)
    alone = tf.strings.join(
        [b"GIF89a", shape, _byte(flags & 0b10000111), b"\0\0", palette]
        + [b",\0\0\0\0", shape, _byte(own & 0b01000000), codes, b";"]
    )  # 0b01000000: the flag of interlaced rows
    corner = tf.stack([_number(raw, at + 3, 2), _number(raw, at + 1, 2)])
    return alone, corner, _canvas(raw, at)


# GIF


def _descriptor(raw):
    """(offset of the first frame's descriptor, index of its transparent palette entry or -1)."""

    def is_extension(at, _):
        return tf.equal(raw[at], 0x21)

    def skip(at, transparent):
        is_control = tf.equal(raw[at + 1], 0xF9)
        entry = tf.where(tf.equal(raw[at + 3] & 1, 1), _number(raw, at + 6, 1), -1)
        return _after_blocks(raw, at + 2), tf.where(is_control, entry, transparent)

    start = 13 + _palette_bytes(_number(raw, 10, 1))
    at, transparent = _loop(is_extension, skip, (start, tf.constant(-1, tf.int64)))
    with tf.control_dependencies([tf.debugging.assert_equal(raw[at], tf.constant(0x2C, tf.uint8))]):
        return tf.identity(at), transparent


def _after_blocks(raw, at):
    """The offset after a chain of blocks, each a length byte and that many bytes; the last block has length 0."""

    def is_block(at):
        return raw[at] > 0

    def skip(at):
        # Nearly all blocks have the same length; a run of equally long blocks is skipped in one step.
        step = tf.cast(raw[at], tf.int64) + 1
        places = tf.range(at, tf.minimum(at + step * AHEAD, tf.size(raw, tf.int64)), step)
        ends = tf.concat([tf.not_equal(tf.gather(raw, places), raw[at]), [True]], 0)
        return (at + step * tf.argmax(ends),)

    (at,) = _loop(is_block, skip, (at,))
    with tf.control_dependencies([tf.debugging.assert_equal(raw[at], tf.constant(0, tf.uint8))]):
        return at + 1


def _canvas(raw, at):
    """(2,) height and width of the picture: the screen, extended to the frame whose descriptor is at `at`."""
    screen = tf.stack([_number(raw, 8, 2), _number(raw, 6, 2)])
    corner = tf.stack([_number(raw, at + 3, 2), _number(raw, at + 1, 2)])
    frame = tf.stack([_number(raw, at + 7, 2), _number(raw, at + 5, 2)])
    return tf.where(tf.reduce_all(frame > 0), tf.maximum(screen, corner + frame), 0)


def _palette_bytes(flags):
    return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)


def _byte(value):
    return tf.gather(tf.constant([bytes([i]) for i in range(256)]), value)


# Exif


def jpeg_exif(data):
    """The TIFF block in the first APP1 segment that is marked Exif; b"" if there is none."""
    head = tf.strings.substr(data, 0, EXIF_WITHIN)

    def walk():
        raw = tf.io.decode_raw(head, tf.uint8)
        last = tf.size(raw, tf.int64) - 10

        def is_other(at):
            inside = at < last
            at = tf.minimum(at, last)
            marker = raw[at + 1]
            data_begin = tf.equal(marker, 0xDA) | tf.not_equal(raw[at], 0xFF)
            return inside & ~data_begin & ~is_exif(at)

        def is_exif(at):
            return tf.equal(raw[at + 1], 0xE1) & tf.equal(tf.strings.substr(head, at + 4, 6), b"Exif\0\0")

        def skip(at):
            filled = tf.equal(raw[at + 1], 0xFF)  # any number of fill bytes may come before a marker
            return (at + tf.where(filled, tf.constant(1, tf.int64), 2 + _number(raw, at + 2, 2, most_first=True)),)

        (at,) = _loop(is_other, skip, (tf.constant(2, tf.int64),))
        at = tf.minimum(at, last)
        size = _number(raw, at + 2, 2, most_first=True)
        return tf.where(is_exif(at), _part(head, at + 10, tf.maximum(size - 8, 0)), b"")

    return tf.cond(_has(head, b"Exif\0\0"), walk, lambda: tf.constant(b""))


def png_exif(data):
    parts = tf.strings.split(data, b"eXIf", maxsplit=1)
    return _part(parts[-1], 0, tf.where(tf.size(parts) > 1, 2**16, 0))


def webp_exif(data):
    extended = tf.equal(tf.strings.substr(data, 12, 4), b"VP8X") & (_head(data)[20] & 8 > 0)

    def chunk():
        parts = tf.strings.split(data, b"EXIF", maxsplit=1)
        block = _part(tf.strings.join([parts[-1], b"\0" * 4]), 4, tf.where(tf.size(parts) > 1, 2**16, 0))
        named = tf.equal(tf.strings.substr(block, 0, 6), b"Exif\0\0")  # some programs write JPEG's prefix too
        return tf.cond(named, lambda: tf.strings.substr(block, 6, 2**16), lambda: block)

    return tf.cond(extended, chunk, lambda: tf.constant(b""))


def orientation_of(block):
    """The Orientation tag in the first directory of a TIFF block; 1 if it is missing or the block is invalid."""
    raw = tf.cast(tf.io.decode_raw(block, tf.uint8), tf.int64)
    raw = tf.pad(raw, [[0, tf.maximum(8 - tf.size(raw), 0)]])  # so that a truncated block has an empty directory
    big = tf.equal(tf.strings.substr(block, 0, 4), b"MM\0*")
    small = tf.equal(tf.strings.substr(block, 0, 4), b"II*\0")

    def number(part):  # along the last axis
        count = part.shape[-1]
        powers = tf.constant([256**i for i in range(count)], tf.int64)
        return tf.reduce_sum(part * tf.where(big, powers[::-1], powers), -1)

    size = tf.size(raw, tf.int64)
    directory = tf.minimum(number(tf.ensure_shape(raw[4:8], [4])), size)
    entries_at = tf.minimum(directory + 2, size)
    length = (size - entries_at) // 12
    count = tf.minimum(number(tf.ensure_shape(tf.pad(raw, [[0, 2]])[directory : directory + 2], [2])), length)
    entries = tf.reshape(raw[entries_at : entries_at + 12 * count], [-1, 12])  # tag, type, count, value
    is_it = tf.equal(number(entries[:, :2]), ORIENTATION) & tf.equal(number(entries[:, 2:4]), 3)  # 3: two bytes
    value = tf.reduce_max(tf.concat([[0], number(entries[:, 8:10]) * tf.cast(is_it, tf.int64)], 0))
    return tf.where((big | small) & (value >= 1) & (value <= 8), value, 1)


# Bytes


def _probe(data):
    """The first 12 bytes, followed by bytes 0 to 3 and 8 to 11, so that "RIFF", a length, "WEBP" ends in "RIFFWEBP"."""
    head = tf.strings.substr(tf.strings.join([data, b"\0" * 12]), 0, 12)
    return tf.strings.join([head, tf.strings.substr(head, 0, 4), tf.strings.substr(head, 8, 4)])


def _head(data):
    """The first HEAD bytes as (HEAD,) uint8; a shorter file is padded with zeros."""
    padded = tf.strings.join([tf.strings.substr(data, 0, HEAD), b"\0" * HEAD])
    return tf.ensure_shape(tf.io.decode_raw(tf.strings.substr(padded, 0, HEAD), tf.uint8), [HEAD])


def _number(raw, at, count, most_first=False):
    """int64: the number in `count` bytes of the uint8 vector `raw` from offset `at`, little-endian by default."""
    powers = [256**i for i in range(count)]
    part = tf.reshape(raw[at : at + count], [count])  # fails where the file is cut off
    return tf.reduce_sum(tf.cast(part, tf.int64) * tf.constant(powers[:: -1 if most_first else 1], tf.int64))


def _part(data, at, count):
    at, count = (tf.cast(number, tf.int64) for number in (at, count))  # substr needs the same dtype for both
    return tf.strings.substr(data, at, count)


def _has(data, part):
    return tf.size(tf.strings.split(data, part, maxsplit=1)) > 1


def _loop(condition, body, variables):
    return tf.while_loop(condition, body, variables, maximum_iterations=STEPS, parallel_iterations=1)
