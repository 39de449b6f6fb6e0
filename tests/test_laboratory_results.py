"""Pictures of experiments: the files in the run's folder, and what TensorBoard shows."""

import csv

import numpy as np
import pytest

from keras_dl import figures, runs


@pytest.fixture
def run(tmp_path):
    return runs.Run(path=tmp_path / "runs" / "app" / "curve-1", root=tmp_path, name="curve", app="app")


def drawn(height):
    figure = figures.figure_of(2, 2)
    figure.add_subplot().plot([0, 1], [0, height])
    return figure


def tags(run):
    from keras_dl import summaries

    paths = sorted((run.tensorboard / "validation").glob("events.out.tfevents.*"))
    return [value.tag for path in paths for _, event in summaries.whole_events(path) for value in event.summary.value]


def test_a_picture_with_its_numbers_replaces_the_one_of_its_name_alone(run):
    from keras_dl.laboratory import results

    path = results.picture(run, "fits", drawn(1), {"x": np.arange(3.0)}, svg=True)
    results.picture(run, "fits_near", drawn(1), [{"order": 1, "error": 0.1}, {"order": 2, "error": 1 / 3}])
    results.picture(run, "fits", drawn(2), {"x": np.arange(4.0)})
    assert path.read_bytes()[:4] == b"\x89PNG" and (path.parent / "fits.svg").read_text().startswith("<?xml")
    assert list(np.load(path.parent / "fits.npz")["x"]) == [0, 1, 2, 3]
    with open(path.parent / "fits_near.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["order"] for row in rows] == ["1", "2"] and float(rows[1]["error"]) == 1 / 3
    assert sorted(tags(run)) == ["figures/fits.png", "figures/fits_near.png"]


def test_further_numbers_and_those_of_an_animation_have_files_of_their_own(run):
    from keras_dl.laboratory import results

    more = {"growth": [{"units": 3, "pieces": 4.5}], "views": {"first": np.eye(2)}}
    path = results.picture(run, "depth", drawn(1), [{"depth": 1}], more=more)
    results.animation(run, "depth", [drawn(1)], {"path": np.arange(2)})
    assert (path.parent / "depth.csv").read_text() == "depth\n1\n"
    assert (path.parent / "depth_growth.csv").read_text() == "units,pieces\n3,4.5\n"
    assert np.load(path.parent / "depth_views.npz")["first"].tolist() == [[1, 0], [0, 1]]
    assert np.load(path.parent / "depth_frames.npz")["path"].tolist() == [0, 1]


def test_an_animation_shows_its_frames_in_their_order(run):
    from PIL import Image

    from keras_dl.laboratory import results

    path = results.animation(run, "paths", [drawn(height) for height in (1, 2, 5)])
    with Image.open(path) as gif:
        assert gif.n_frames == 3
    assert tags(run) == ["figures/paths.gif"]


def test_frames_may_be_one_figure_that_changes(run):
    from PIL import Image

    from keras_dl.laboratory import classical_surfaces, descent_figures, results

    path = np.linspace(classical_surfaces.SADDLE.start, (0.0, 0.0), 9)
    frames = descent_figures.PathFrames([(classical_surfaces.SADDLE, {"Newton": path})], 4)
    assert frames.updates == [0, 1, 4, 8]
    pictures = set()
    with Image.open(results.animation(run, "paths", frames)) as gif:
        for number in range(gif.n_frames):
            gif.seek(number)
            pictures.add(gif.convert("RGB").tobytes())
    assert len(pictures) == 4
