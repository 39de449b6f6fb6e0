"""Pictures that measured runs leave, for docs/: found, made small, written with the commit of the run that made them.

reproduce.py writes them when it measures, and a record of results/ has each one's SHA-256: a picture that was edited by
hand, or is of another run than the figure beside it, does not fit its record.
"""

import hashlib
import io

from keras_dl.errors import UserError

LARGEST = 300_000  # bytes of a picture in docs/
PALETTES = (256, 64)  # colours with which a picture that is too large without loss is tried
SMALLEST = 64  # pixels of the shorter side, below which nothing is made smaller


def name_of(table, picture):
    """The file's name in docs/."""
    return f"{table}_{picture.row}_{picture.name}.png"


def left(pictures, folder):
    """{Picture: its file's bytes} of what a run left in `folder`.

    Raises:
        UserError: no file or more than one fits a picture's pattern.
    """
    contents = {}
    for picture in pictures:
        files = sorted(folder.glob(picture.file))
        if len(files) != 1:
            raise UserError(
                f"reproduce: {picture.row} must leave one file {picture.file}; got {len(files)}. Nothing was written."
            )
        contents[picture] = files[0].read_bytes()
    return contents


def small(data, commit):
    """The picture as a PNG of at most LARGEST bytes, with `commit` in its text.

    Without loss if that is small enough; else with fewer colours, and at last at half the size, again and again.

    Raises:
        UserError: the data are no picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        image = image.convert("L" if _is_grey(image) else "RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"reproduce: a run left a picture that cannot be read: {error}. Nothing was written.") from None
    while True:
        colours = len(image.getcolors(2**24) or [])
        written = [_png(image.quantize(colours) if colours <= 256 else image, commit)]
        written += [_png(image.quantize(palette), commit) for palette in PALETTES if palette < colours]
        fits = next((png for png in written if len(png) <= LARGEST), None)
        if fits is not None or min(image.size) <= SMALLEST:
            return fits or written[-1]
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def digest(data):
    """SHA-256 of a file's bytes, as the records have it."""
    return hashlib.sha256(data).hexdigest()


def _is_grey(image):
    if image.mode in ("1", "L"):
        return True
    red, green, blue = image.convert("RGB").split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _png(image, commit):
    from PIL.PngImagePlugin import PngInfo

    text, buffer = PngInfo(), io.BytesIO()
    text.add_text("commit", commit)
    image.save(buffer, "PNG", optimize=True, pnginfo=text)
    return buffer.getvalue()
