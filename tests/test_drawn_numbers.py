"""The check of pictures: it sees what is drawn and not saved, in every kind of drawing."""

import numpy as np
import pytest

from keras_dl import figures, runs

rng = np.random.default_rng(0)
LINE, GRID = rng.normal(size=7), rng.uniform(1, 2, (5, 6))
DRAWINGS = {
    "line": (LINE, lambda axes: axes.plot(LINE)),
    "logarithmic": (LINE, lambda axes: axes.semilogy(np.maximum(LINE, 1e-9))),
    "percent": (LINE, lambda axes: axes.plot(100 * LINE)),
    "mean": (GRID, lambda axes: axes.plot(GRID.mean(0))),
    "bars": (LINE, lambda axes: axes.barh(np.arange(7), LINE)),
    "points": (GRID, lambda axes: axes.scatter(GRID[0], GRID[1])),
    "image": (GRID, lambda axes: axes.imshow(GRID)),
    "contours": (GRID, lambda axes: axes.contourf(np.arange(6), np.arange(5), GRID)),
    "sorted values": (LINE, lambda axes: axes.plot(np.sort(LINE), np.linspace(0, 1, 7))),
}


@pytest.mark.parametrize("kind", DRAWINGS)
def test_what_is_drawn_must_stand_beside_the_picture(kind, tmp_path, monkeypatch):
    import drawn_numbers

    from keras_dl.laboratory import results

    run = runs.Run(path=tmp_path / "runs" / "app" / "curve-1", root=tmp_path, name="curve", app="app")
    missing, (numbers, draw) = drawn_numbers.recorded(monkeypatch), DRAWINGS[kind]
    figure = figures.figure_of(2, 2)
    axes = figure.add_subplot()
    draw(axes)
    axes.axhline(0.3)
    axes.axvline(0.3)  # aids to the eye
    results.picture(run, "seen", figure, {"numbers": numbers})
    results.picture(run, "in_rows", figure, [{"row": 1}], more={"grid": {"numbers": numbers}})
    results.animation(run, "moving", [figure], {"numbers": numbers})
    assert not missing
    results.picture(run, "seen", figure, {"numbers": numbers + 0.1})
    results.picture(run, "in_rows", figure, [{"row": 1}])
    results.animation(run, "seen", [figure])  # beside the picture of its name
    assert [name for name, _ in missing] == ["seen", "in_rows", "seen.gif"]
