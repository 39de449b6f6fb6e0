"""Laws of the decoder: a file has the pixels that Pillow sees upright on white, the same bits eagerly and in a graph;
what is too large is refused by its header."""

import functools
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_dl.data import images
from keras_dl.features import headers, pictures
from keras_dl.features.image import Preprocess

CASES = Path(__file__).resolve().parent.parent.parent / "shared" / "cases"
RNG = np.random.default_rng(0)
COLOUR = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), np.uint8))
GREY, FEW = COLOUR.convert("L"), COLOUR.quantize(20)
ALPHA = Image.fromarray(RNG.integers(0, 256, (20, 30, 4), np.uint8))
BLACK_AND_WHITE = GREY.convert("1")


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x0131] = "Maker", orientation, "Program"  # among others, as cameras write it
    return tags


def case(name):
    if not (CASES / name).is_file():
        pytest.skip("data: shared/cases is not here")
    return (CASES / name).read_bytes()


def decoded(data, channels=3):
    return pictures.decode(data, channels).numpy()


def seen(data):
    """What Pillow sees: the first frame, upright, on white."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGBA")
    white = Image.new("RGBA", picture.size, (255,) * 4)
    white.alpha_composite(picture)
    return np.asarray(white.convert("RGB"))


def luma(colours):
    return np.round(colours.astype(np.float64) @ [[0.299], [0.587], [0.114]]).astype(np.uint8)


FILES = {
    "png": encoded(COLOUR, "PNG"),
    "png of one bit": encoded(BLACK_AND_WHITE, "PNG"),
    "png of one bit, one transparent": encoded(BLACK_AND_WHITE, "PNG", transparency=0),
    "png grey, one level transparent": encoded(GREY, "PNG", transparency=GREY.getpixel((3, 4))),
    "png colour, one transparent": encoded(COLOUR, "PNG", transparency=COLOUR.getpixel((3, 4))),
    "png palette, one transparent": encoded(FEW, "PNG", transparency=3),
    "png grey with alpha": encoded(ALPHA.convert("LA"), "PNG"),
    "png with alpha": encoded(ALPHA, "PNG"),
    "gif": encoded(FEW, "GIF"),
    "gif, one transparent": encoded(FEW, "GIF", transparency=5),
    "gif with frames": encoded(FEW, "GIF", save_all=True, append_images=[FEW.rotate(180)] * 5, transparency=7),
    "gif with rows interlaced": encoded(FEW, "GIF", interlace=1),
    "bmp": encoded(COLOUR, "BMP"),
    "bmp with a palette": encoded(FEW, "BMP"),
    "bmp with alpha": encoded(ALPHA, "BMP"),
    "bmp with more behind": encoded(COLOUR, "BMP") + b"\0\0",
    "webp": encoded(COLOUR, "WEBP", quality=80),
    "webp with alpha": encoded(ALPHA, "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_that_pillow_sees_on_white(name):
    want, got = seen(FILES[name]), decoded(FILES[name])
    assert np.abs(got.astype(int) - want).max() <= (1 if "alpha" in name else 0)  # of alpha, roundings differ
    assert np.abs(decoded(FILES[name], 1).astype(int) - luma(got)).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_however_the_camera_was_held(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    upright = decoded(encoded(COLOUR, kind, **options))
    tags = exif(orientation)
    as_stored = decoded(encoded(COLOUR, kind, exif=tags, **options))
    want = np.asarray(ImageOps.exif_transpose(_with_exif(Image.fromarray(upright), tags)))
    np.testing.assert_array_equal(as_stored, want)
    assert as_stored.shape == ((30, 20, 3) if orientation > 4 else (20, 30, 3))


def _with_exif(picture, tags):
    picture.getexif()[0x0112] = tags[0x0112]
    return picture


@pytest.mark.parametrize(
    "block",
    [b"", b"MM\0*", b"II*\0\xff\xff\xff\xff" + bytes(9), b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0", bytes(40)],
)
def test_exif_that_makes_no_sense_is_not_there(block):
    assert headers.orientation_of(tf.constant(block)).numpy() == 1
    segment = b"\xff\xe1" + struct.pack(">H", 8 + len(block)) + b"Exif\0\0" + block
    plain = encoded(COLOUR, "JPEG")
    np.testing.assert_array_equal(decoded(plain[:2] + segment + plain[2:]), decoded(plain))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("before", "kind", "want"), [(0, 3, 6), (3, 3, 6), (1, 4, 1)])
def test_the_orientation_is_found_among_other_tags(order, before, kind, want):
    entries = [struct.pack(f"{order}HHIHH", 0x0100 + i, 3, 1, 8, 0) for i in range(before)]
    entries += [struct.pack(f"{order}HHIHH", 0x0112, kind, 1, 6, 0)]
    begin = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    assert headers.orientation_of(tf.constant(begin + b"".join(entries))).numpy() == want


def test_a_bmp_of_four_bytes_a_pixel_has_alpha_only_where_its_header_says_so():
    rgb = np.asarray(COLOUR)
    with_alpha = FILES["bmp with alpha"]  # its header has a mask of alpha
    pixels = np.concatenate([rgb[::-1, :, ::-1], np.zeros((20, 30, 1), np.uint8)], 2).tobytes()
    reserved = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
    reserved += struct.pack("<IiiHHIIiiII", 40, 30, 20, 1, 32, 0, len(pixels), 0, 0, 0, 0) + pixels
    np.testing.assert_array_equal(decoded(reserved), rgb)
    at = struct.unpack("<I", with_alpha[10:14])[0]
    np.testing.assert_array_equal(decoded(with_alpha[:at] + pixels), rgb)  # alpha 0 everywhere: it has none


def test_the_cases_that_went_wrong():
    np.testing.assert_array_equal(decoded(case("bgrx32.bmp")), decoded(case("rgb24.bmp")))
    phone, plain = (decoded(case(f"up_{name}.jpg")).astype(int) for name in ("phone", "plain"))
    assert np.abs(phone - plain).mean() < 1  # they were compressed apart
    for name in ("big.webp", "frame-larger-than-screen.gif"):
        assert refusal(case(name)) == "above 33554432 pixels"


def test_the_same_bits_eagerly_in_a_graph_and_inside_a_map():
    files = {**FILES, "jpeg": encoded(COLOUR, "JPEG", exif=exif(6))}
    for channels in (1, 3):
        decode = functools.partial(pictures.decode, channels=channels)
        of_map = tf.data.Dataset.from_tensor_slices(list(files.values())).map(decode)
        eagerly = [pictures._decode(tf.constant(data), channels).numpy() for data in files.values()]
        for name, got, want in zip(files, of_map, eagerly, strict=True):
            np.testing.assert_array_equal(got, want, err_msg=name)
            np.testing.assert_array_equal(decoded(files[name], channels), want, err_msg=name)


def test_strips_are_the_whole(monkeypatch):
    levels = np.asarray(ALPHA)
    whole = pictures._by_strips(lambda strip: strip[..., :3], levels, 3)
    np.testing.assert_array_equal(whole, levels[..., :3])
    monkeypatch.setattr(pictures, "STRIP", 100)  # 3 rows of 30, and 2 at the end
    np.testing.assert_array_equal(pictures._by_strips(lambda strip: strip[..., :3], levels, 3), whole)


def test_a_gif_s_frame_stands_where_it_belongs_on_white():
    data = bytearray(FILES["gif"])
    data[6:10] = struct.pack("<HH", 50, 40)  # a screen larger than its frame
    at = data.index(b",\0\0\0\0" + struct.pack("<HH", 30, 20))
    data[at + 1 : at + 5] = struct.pack("<HH", 7, 9)
    want = np.full((40, 50, 3), 255, np.uint8)
    want[9:29, 7:37] = np.asarray(FEW.convert("RGB"))
    np.testing.assert_array_equal(decoded(bytes(data)), want)


def test_a_gif_with_any_blocks_is_read_to_the_end_of_its_first_frame():
    data = FILES["gif"]
    at = data.index(b",\0\0\0\0") + 11
    codes, position = b"", at
    while data[position]:
        codes += data[position + 1 : position + 1 + data[position]]
        position += data[position] + 1
    sizes = np.random.default_rng(0).integers(1, 255, 400)
    blocks = b""
    for size in sizes:
        part, codes = codes[:size], codes[size:]
        blocks += bytes([len(part)]) + part if part else b""
    comment = b"!\xfe\x05hello\x02, \0"
    head = data[: data.index(b",\0\0\0\0")]
    want = np.asarray(FEW.convert("RGB"))
    for behind in (b"\0;", b"\0,\0\0\0\0\xff\xff\xff\xff", b"\0"):  # a second frame of 4 gigapixels is not looked at
        again = head + comment + data[len(head) : at] + blocks + behind
        np.testing.assert_array_equal(decoded(again), want)


# What is refused


def refusal(data, channels=3):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decoded(data, channels)
    return pictures.reason(error.value)


def png_that_says(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def webp_that_says(chunk, where):
    return b"RIFF" + struct.pack("<I", 60) + b"WEBP" + chunk + bytes(4) + where + bytes(30)


def three(number):
    return struct.pack("<I", number)[:3]


BEYOND = {
    "png": png_that_says(9000, 9000),
    "png that wraps": png_that_says(2**31, 2**31),
    "gif screen": b"GIF89a" + struct.pack("<HHBBB", 9000, 9000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\1\1\0;",
    "gif frame": b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\2\1\1\0;",
    "gif frame's place": b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b",\x80\x3e\x80\x3e\1\0\1\0\0\2\1\1\0;",
    "bmp": b"BM" + bytes(8) + struct.pack("<IIiiHH", 54, 40, 10_000, -10_000, 1, 24) + bytes(60),
    "webp": webp_that_says(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 9000, 9000)),
    "webp lossless": webp_that_says(b"VP8L", b"\x2f" + struct.pack("<I", 8999 + 8999 * 2**14)),
    "webp extended": webp_that_says(b"VP8X", bytes(4) + three(8999) + three(8999)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_says_that_it_is_huge_is_refused_by_its_header(name):
    assert refusal(BEYOND[name]) == "above 33554432 pixels"
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 33554432 pixels"):
        pictures.pixels(tf.constant(BEYOND[name]))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("long", png_that_says(2, 2**14 + 1), "above 16384 pixels a side"),
        ("bytes", FILES["png"] + bytes(2**25), "above 33554432 bytes"),
        ("scans", encoded(COLOUR, "JPEG")[:-2] + b"\xff\xda" * 70, "above 64 scans"),
        ("animated", encoded(COLOUR, "WEBP", save_all=True, append_images=[COLOUR.rotate(90)]), "animated WebP"),
        ("avif", encoded(COLOUR, "AVIF"), "AVIF"),
        ("heic", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        ("heif", b"\0\0\0\x18ftypmif1" + bytes(40), "HEIC"),
        ("tiff", encoded(COLOUR, "TIFF"), "TIFF or camera raw"),
        ("jpeg xl", b"\xff\x0a" + bytes(40), "JPEG XL"),
        ("another within", b"\xff\x0a" + bytes(6) + b"WEBP" + bytes(40), "JPEG XL"),
        ("jpeg 2000", encoded(COLOUR, "JPEG2000"), "JPEG 2000"),
        ("bmp of one bit", encoded(BLACK_AND_WHITE, "BMP"), "another BMP"),
        ("empty", b"", "no bytes"),
        ("text", b"hello", "no known format"),
        ("png of nothing", png_that_says(0, 5), "damaged"),
        ("gif without a frame", b"GIF89a\1\0\1\0\0\0\0;", "damaged"),
        *(("cut", FILES[name][: len(FILES[name]) // 2], "damaged") for name in ("png", "gif", "bmp", "webp")),
        *(("begun", data, "damaged") for data in (b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF1234WEBPVP8X")),
    ],
)
def test_what_is_no_picture_says_what_it_is(name, data, reason):
    assert refusal(data) == reason


def test_a_file_larger_than_the_bound_is_not_read_whole(tmp_path):
    path = tmp_path / "x [1]*?.png"
    path.write_bytes(FILES["png"])
    assert pictures.read(path) == FILES["png"]
    with path.open("r+b") as file:
        file.truncate(2**36)  # sparse
    with pytest.raises(pictures.UserError, match="at most 33554432 bytes"):
        pictures.read(path)


# Fit


def of_fit(fit, shape=(8, 8, 1)):
    return Preprocess(shape, (0.0,) * shape[2], (1.0,) * shape[2], 0.0, fit)


def test_a_picture_that_is_not_square_keeps_its_middle_or_gets_bars_or_is_stretched():
    picture = np.zeros((16, 48, 1), np.uint8)
    picture[:, 16:32] = 200  # the middle third
    crop, pad, stretch = (of_fit(fit).resize(picture).numpy()[..., 0] for fit in ("crop", "pad", "stretch"))
    assert (crop == 200).all()
    assert (pad[[0, 1, -1, -2]] == 0).all()  # 8 x 8 / 3 is 8 x 3, and bars of 2 and 3 rows
    assert (pad[2:5, 4] > 190).all() and (pad[2:5, [0, 7]] < 10).all()  # smoothed: a little of what is beside it
    assert (stretch[:, 4] > 190).all() and (stretch[:, [0, 7]] < 10).all()
    on_end = of_fit("crop").resize(np.swapaxes(picture, 0, 1)).numpy()[..., 0]
    np.testing.assert_array_equal(on_end, crop.T)
    np.testing.assert_array_equal(of_fit("pad").resize(np.swapaxes(picture, 0, 1)).numpy()[..., 0], pad.T)


@pytest.mark.parametrize("fit", images.FITS)
@pytest.mark.parametrize("shape", [(5, 5), (8, 8), (1, 9), (9, 1), (31, 5), (300, 2)])
def test_a_fit_is_the_same_alone_in_a_batch_and_in_a_graph(fit, shape):
    batch = np.random.default_rng(0).integers(0, 256, (3, *shape, 1), np.uint8)
    preprocess = of_fit(fit)
    whole = preprocess.resize(batch).numpy()
    assert whole.shape == (3, 8, 8, 1)
    np.testing.assert_array_equal(whole, np.stack([preprocess.resize(one).numpy() for one in batch]))
    spec = [tf.TensorSpec((None, None, None, 1), tf.uint8)]
    traced = tf.function(preprocess.resize, input_signature=spec, autograph=False)
    np.testing.assert_array_equal(traced(batch).numpy(), whole)
    if shape[0] == shape[1]:
        np.testing.assert_array_equal(whole, of_fit("stretch").resize(batch).numpy())


def test_a_card_that_says_no_fit_means_stretch_and_a_wrong_one_is_refused():
    config = of_fit("pad").config()
    assert config.pop("fit") == "pad" and config.pop("kind") == "image"
    assert Preprocess(**config).fit == "stretch"
    with pytest.raises(pictures.UserError, match="fit must be crop, pad or stretch; got 'zoom'"):
        of_fit("zoom")
