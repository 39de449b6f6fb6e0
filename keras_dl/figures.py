"""matplotlib figures without pyplot, and figures as PNG."""

import io
import warnings


def figure_of(width, height):
    """An empty figure, its size in inches."""
    from matplotlib.figure import Figure  # by itself it draws with Agg, and leaves pyplot alone

    return Figure((width, height), layout="constrained")


def png(figure):
    """A matplotlib figure as PNG bytes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a class name, which no font of matplotlib's has
        figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
