"""What the pictures of an experiment draw, and which of it is in no file beside them."""

import csv

import numpy as np

FLOORS = (1e-18, 1e-12, 1e-9, 1e-6)  # the least values of logarithmic axes
RECORDED = "heights_for_the_test"  # an attribute of axes
HEIGHTS = {"matplotlib.axes.Axes": ("contour", "contourf"), "mpl_toolkits.mplot3d.axes3d.Axes3D": ("plot_surface",)}


def recorded(monkeypatch):
    """[(name, complaint)] to which every picture and every animation adds what it draws and does not save.

    Pictures are recognised by their numbers: lines, bars, points, polygons, images, contours and surfaces.
    """
    from keras_dl.laboratory import results

    missing = []
    for owner, names in HEIGHTS.items():
        for name in names:
            _record_heights(monkeypatch, f"{owner}.{name}")
    picture, animation = results.picture, results.animation

    def checked_picture(run, name, figure, numbers, *, more=None, svg=False):
        drawn = list(_drawn(figure))
        result = picture(run, name, figure, numbers, more=more, svg=svg)
        known = known_in([results.folder(run) / stem for stem in (name, *(f"{name}_{word}" for word in more or {}))])
        missing.extend((name, what) for what, values in drawn if not holds(known, values))
        return result

    def checked_animation(run, name, frames, numbers=None):
        drawn = []

        class Watched:
            def __len__(self):
                return len(frames)

            def __getitem__(self, number):
                figure = frames[number]
                drawn.extend(_drawn(figure))
                return figure

        result = animation(run, name, Watched(), numbers)
        known = known_in([results.folder(run) / (name if numbers is None else f"{name}_frames")])
        missing.extend((f"{name}.gif", what) for what, values in drawn if not holds(known, values))
        return result

    monkeypatch.setattr(results, "picture", checked_picture)
    monkeypatch.setattr(results, "animation", checked_animation)
    return missing


def known_in(stems):
    """The numbers of the CSV and NPZ files of these names, and what a figure makes of them, in their order."""
    arrays = []
    for stem in stems:
        if (file := stem.with_name(f"{stem.name}.npz")).exists():
            with np.load(file) as saved:
                arrays += [saved[name] for name in saved.files]
        else:
            with open(stem.with_name(f"{stem.name}.csv"), newline="") as file:
                rows = list(csv.reader(file))[1:]
            arrays += [np.array([_number(cell) for cell in column]) for column in zip(*rows, strict=True)]
    made = [np.array(FLOORS)]
    for array in arrays:
        if array.dtype.kind not in "biuf" or not array.size:
            continue
        array = array if array.dtype.kind == "f" else array.astype(float)
        of_rows = [array.mean(0), np.median(array, 0)] if array.ndim > 1 else []
        with np.errstate(all="ignore"):
            for each in (array, *of_rows):
                made += [each, 100 * each, np.sqrt(each), np.log10(each)]
            made.append(
                np.exp(array - np.max(array, -1, keepdims=True, initial=-np.inf))
            )  # a likelihood by its largest
    values = np.concatenate([np.ravel(each).astype(float) for each in made])
    return np.unique(values[np.isfinite(values)])


def holds(known, values):
    """Whether all values are among the known ones, up to rounding."""
    values = np.ravel(np.ma.filled(np.ma.asarray(values, float), np.nan))
    values = values[np.isfinite(values)]
    after = np.searchsorted(known, values).clip(1, len(known) - 1)
    distance = np.minimum(np.abs(known[after] - values), np.abs(known[after - 1] - values))
    return bool(np.all(distance <= 1e-6 * np.abs(values) + 1e-12))


def _drawn(figure):
    """(what, values) of all that a figure draws of numbers; what stands at a constant is an aid to the eye."""
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection
    from matplotlib.container import BarContainer, ErrorbarContainer

    for place, axes in enumerate(figure.axes):
        if axes.get_label() == "<colorbar>":
            continue
        where = f"panel {place}, {axes.get_title() or axes.get_ylabel()}"
        ends = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]  # a value more or less its error
        ends = {id(artist) for container in ends for group in container.lines[1:] for artist in group}
        for line in axes.lines:
            if id(line) not in ends and line.get_transform() == axes.transData:
                yield from _of_line(f"{where}: line {line.get_label()}", line)
        for container in axes.containers:
            if isinstance(container, BarContainer):
                yield f"{where}: bars", container.datavalues
        for collection in axes.collections:
            if type(collection) is PathCollection:
                yield f"{where}: points", collection.get_offsets()
            elif type(collection) in (LineCollection, PolyCollection) and id(collection) not in ends:
                corners = [path.vertices[:, 1] for path in collection.get_paths()]
                corners = np.concatenate(corners) if corners else np.zeros(0)
                if len(np.unique(corners)) > 1:
                    yield f"{where}: {type(collection).__name__}", corners
        for image in axes.images:
            if image.get_array().dtype.kind == "f":
                yield f"{where}: image", image.get_array()
        for values in getattr(axes, RECORDED, ()):
            yield f"{where}: heights", _without_ends(values)


def _of_line(what, line):
    x, y = line.get_data_3d()[:2] if hasattr(line, "get_data_3d") else line.get_data()
    y = np.asarray(y, float)
    y, x = y[np.isfinite(y)], np.asarray(x, float)
    steps = np.diff(y)
    evenly = len(y) > 2 and np.allclose(steps, steps[0], rtol=1e-9) and len(np.unique(x)) > 1
    if len(np.unique(y)) > 1:  # of values at even heights the numbers are the x
        yield what, x if evenly else y


def _without_ends(values):
    """Heights between their ends: a figure may cut what lies beyond its scale."""
    values = np.asarray(values, float)
    inside = (values > np.nanmin(values)) & (values < np.nanmax(values))
    return values[inside]


def _record_heights(monkeypatch, name):
    import pkgutil

    function = pkgutil.resolve_name(name)

    def recording(self, *arguments, **keywords):
        setattr(self, RECORDED, [*getattr(self, RECORDED, ()), np.array(arguments[2], float)])
        return function(self, *arguments, **keywords)

    monkeypatch.setattr(name, recording)


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return np.nan
