"""matplotlib figures without pyplot, and figures as PNG."""

import io
import warnings


def figure_of(width, height):
    """An empty figure of a size in inches."""
    from matplotlib.figure import Figure  # draws with Agg, independent of pyplot

    return Figure((width, height), layout="constrained")


def png(figure):
    """A matplotlib figure as PNG bytes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a class name with letters that matplotlib's fonts lack
        figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
