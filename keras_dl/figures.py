"""matplotlib figures without pyplot, and figures as PNG."""

import io
import warnings

from keras_dl.errors import printable

LONGEST = 28  # characters of a name in a figure


def figure_of(width, height):
    """An empty figure of a size in inches."""
    from matplotlib.figure import Figure  # draws with Agg, independent of pyplot

    return Figure((width, height), layout="constrained")


def plain(text, most=LONGEST):
    """An untrusted text, such as a class's name, for a figure: escaped, not read as mathematics, and not too long."""
    text = printable(str(text))
    return (text if len(text) <= most else f"{text[: most - 1]}\u2026").replace("$", r"\$")


def png(figure):
    """A matplotlib figure as PNG bytes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a class name with letters that matplotlib's fonts lack
        figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
