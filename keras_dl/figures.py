"""matplotlib figures without pyplot, and figures as PNG."""

import io
import warnings

from keras_dl.errors import printable

DPI = 100  # pixels of a figure's inch
LONGEST = 28  # characters of a name in a figure
# Ten colours that are told apart by readers with the common kinds of colour blindness, too (arXiv:2107.02270).
COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip


def figure_of(width, height):
    """An empty figure of a size in inches."""
    from matplotlib.figure import Figure  # draws with Agg, independent of pyplot

    return Figure((width, height), layout="constrained")


def plain(text, most=LONGEST):
    """An untrusted text, such as a class's name, for a figure: escaped, not read as mathematics, and not too long.

    A long one is cut in the middle, since many names differ only at their end, as class_17 and run-12 do.
    """
    text = printable(str(text))
    if len(text) > most:
        text = f"{text[: most // 2]}\u2026{text[len(text) - (most - 1) // 2 :]}"
    return text.replace("$", r"\$")


def whole_ticks(axis):
    """Let an axis have ticks at whole numbers only, such as epochs or counts, also if there is but one."""
    axis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def png(figure):
    """A matplotlib figure as PNG bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.image import imsave

    file = io.BytesIO()
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a class name with letters that matplotlib's fonts lack
        canvas.draw()  # once; figure.savefig would lay it out and draw it twice
    imsave(file, canvas.buffer_rgba(), format="png", dpi=DPI)
    return file.getvalue()
