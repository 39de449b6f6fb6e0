"""Many pictures as one: a grid with headings and marks, and grids of several epochs as an animated picture.

Shapes: N pictures of h x w pixels with C channels (1: grey, 3: colour).
"""

import functools
import io
import math
import unicodedata

import numpy as np

from keras_dl.errors import printable

SMALLEST = 56  # pixels of the larger side that a picture has at least in a grid
GAP = 2  # pixels between pictures
BACKGROUND = 255
INK = 0
LETTERS = 13  # size of the letters of headings, in pixels
LONGEST = 24  # characters of a heading
MARK = (255, 140, 0)  # colour of the line around given pixels
MOST_FRAMES = 60  # of an animated picture; 64 grey pictures of 28 x 28 pixels take about 80 kB a frame
SECONDS, LAST_SECONDS = 0.25, 2.0  # that a frame of an animated picture is shown, and the last one


def grid(images, columns=None, *, headings=(), given=None, caption="", enlarge=None):
    """Pictures beside and below each other, row by row, on white.

    Args:
        images: uint8 (N, h, w, C), N at least 1.
        columns: number of pictures in a row; None: about as many as there are rows.
        headings: a text on the left of each row, the name of its class; () for none. For one with letters that the
            font lacks, as those of Chinese, row k is headed "class k".
        given: (N, h, w), not 0 where a picture was given to a model that completed it: a coloured line is drawn where
            the given part ends. None: no lines.
        caption: a text above the grid; "" for none.
        enlarge: by which whole number pictures are enlarged, every pixel to a square; None: until the larger side has
            SMALLEST pixels.

    Returns:
        uint8 (h', w', C); with lines, C is 3.

    >>> grid(np.zeros((6, 28, 28, 1), np.uint8), 3, enlarge=1).shape  # 2 rows of 3, gaps between and around
    (62, 92, 1)
    """
    images = np.asarray(images, np.uint8)
    count, height, width, _ = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    enlarge = enlarge or -(-SMALLEST // max(height, width))
    images = images.repeat(enlarge, 1).repeat(enlarge, 2)
    if given is not None:
        images = _marked(images, np.asarray(given).repeat(enlarge, 1).repeat(enlarge, 2) != 0)
    height, width, channels = images.shape[1:]
    rows = -(-count // columns)
    whole = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), BACKGROUND, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        whole[top : top + height, left : left + width] = image
    if headings:
        whole = np.concatenate([_beside(headings, len(whole), height, channels), whole], 1)
    if caption:
        letters = max(LETTERS, whole.shape[1] // 24)  # legible too where TensorBoard shows the grid at 310 pixels
        text = _text(caption, letters, letters + 4 * GAP, channels)[:, : whole.shape[1]]
        room = ((0, 0), (0, whole.shape[1] - text.shape[1]), (0, 0))
        whole = np.concatenate([np.pad(text, room, constant_values=BACKGROUND), whole])
    return whole


def animation(frames):
    """An animated GIF, which begins again and again, of pictures of the same size: its bytes.

    Of more than MOST_FRAMES pictures some are left out, evenly; the last one is shown for longer. A GIF has 256 colours
    at most, so that colour pictures lose some.

    Args:
        frames: list of uint8 (h, w, C).
    """
    from PIL import Image

    pictures = [Image.fromarray(_plain(frame)) for frame in evenly(frames)]
    file, milliseconds = io.BytesIO(), [round(1000 * SECONDS)] * (len(pictures) - 1) + [round(1000 * LAST_SECONDS)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def evenly(frames, most=MOST_FRAMES):
    """A list of at most `most` of the frames, among them the first and the last.

    >>> evenly(list(range(7)), 3)
    [0, 3, 6]
    """
    return [frames[round(at)] for at in np.linspace(0, len(frames) - 1, min(len(frames), most))]


def _plain(image):
    """(h, w, 1) as (h, w), which is how Pillow wants grey pictures; colour pictures as they are."""
    return image[..., 0] if image.shape[-1] == 1 else image


def _marked(images, given):
    """Colour pictures with a line along the given pixels that have a neighbour that was not given."""
    images = np.broadcast_to(images, (*images.shape[:3], 3)).copy()
    padded = np.pad(given, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    inside = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    images[given & ~inside] = MARK
    return images


def _beside(headings, height, row, channels):
    """The headings (height, w, C) of rows of pictures, each beside the middle of its row of `row` pixels."""
    names = [heading if drawable(heading) else f"class {number}" for number, heading in enumerate(headings)]
    texts = [_text(name, LETTERS, min(row, LETTERS + 4 * GAP), channels) for name in names]
    whole = np.full((height, max(text.shape[1] for text in texts), channels), BACKGROUND, np.uint8)
    for number, text in enumerate(texts):
        top = GAP + number * (row + GAP) + (row - len(text)) // 2
        whole[top : top + len(text), : text.shape[1]] = text
    return whole


def drawable(text):
    """Whether the font has all letters of a text.

    >>> drawable("\u00c4pfel"), drawable("\u043f\u0442\u0438\u0446\u044b"), drawable("\u9e1f")
    (True, True, False)
    """
    return all(ord(letter) in _font()[1] for letter in printable(unicodedata.normalize("NFC", str(text))))


@functools.cache
def _font():
    """(the file of DejaVu Sans that matplotlib has in it, the set of its code points)."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    file = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    return file, frozenset(FT2Font(file).get_charmap())


def _text(text, letters, height, channels):
    """A line of text, its letters of `letters` pixels, as a picture (height, w, C)."""
    from PIL import Image, ImageDraw, ImageFont

    file, _ = _font()
    text, font = printable(unicodedata.normalize("NFC", str(text))), ImageFont.truetype(file, letters)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"
    picture = Image.new("L", (math.ceil(font.getlength(text)) + 4 * GAP, height), BACKGROUND)
    ImageDraw.Draw(picture).text((2 * GAP, height / 2), text, INK, font, anchor="lm")
    return np.asarray(picture)[..., None].repeat(channels, -1)
