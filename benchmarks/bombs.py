"""Small files that decode to gigabytes in a program that does not check their declared size first.

Each function returns (the file's suffix, its bytes).
"""

import io
import struct
import zlib

SIDE = 9_000  # pixels; 81 million, where 2**25 = 34 million may be decoded
FRAMES = 300


def webp():
    """38 bytes, 9,000 x 9,000 pixels of one colour."""
    return ".webp", bytes.fromhex("524946461e000000574542505650384c110000002f27e3c90807508f22d7a3ff8188e87f0000")


def png():
    """40,000 x 40,000 pixels of one bit, which a decoder expands to a byte or more each."""
    side = 40_000
    return ".png", png_file(side, side, 1, 0, bytes(1 + side // 8))


def jpeg():
    """A picture of 16 x 16 pixels whose header claims 65,500 x 65,500."""
    data = bytearray(_saved(16, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    return ".jpg", bytes(data)


def gif_screen():
    """A frame of 9,000 x 9,000 pixels on a screen of one pixel."""
    data = bytearray(_saved(SIDE, "GIF"))
    data[6:10] = struct.pack("<HH", 1, 1)
    return ".gif", bytes(data)


def gif_frames():
    """300 frames of 2,000 x 2,000 pixels: 3.6 GB in colour, though each frame alone is within the limits."""
    data = _saved(2_000, "GIF")
    first = 13 + 3 * 2 ** ((data[10] & 7) + 1)  # behind the header and its colours
    return ".gif", data[:first] + data[first:-1] * FRAMES + data[-1:]


def midi():
    """37 bytes: one note of 9,999,000 quarter notes."""
    track = b"\x00\x90\x3c\x40\x84\xe2\xa5\x18\x80\x3c\x40\x00\xff\x2f\x00"
    return ".mid", b"MThd" + struct.pack(">LHHH", 6, 0, 1, 1) + b"MTrk" + struct.pack(">L", len(track)) + track


def png_file(height, width, bits, colour, row):
    """A PNG file with identical rows.

    Args:
        bits, colour: IHDR's bit depth and colour type.
        row: its bytes, the filter's type first.
    """
    packed = zlib.compressobj(6)
    data = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, (b"IHDR", b"IDAT", b"IEND"), (head, data, b"")))


def _saved(side, form):
    """A black picture as a file's bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, form)
    return buffer.getvalue()


def _chunk(name, data):
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
