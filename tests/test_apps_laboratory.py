"""The experiments of the lecture's figures: --smoke, pictures with their numbers, a resume, and mistakes."""

import math
import re

import drawn_numbers
import keras
import numpy as np
import pytest
from app_files import EXPERIMENTS, main_of

from keras_dl.training import steps


@pytest.mark.parametrize("app", EXPERIMENTS, ids=lambda p: p.stem)
def test_smoke_leaves_pictures_with_their_numbers_and_a_finished_run(app, tmp_path, monkeypatch, capsys):
    main = main_of(app)
    with monkeypatch.context() as patch:
        unsaved = drawn_numbers.recorded(patch)
        metrics = main(["--smoke", "--out", str(tmp_path)])
    assert not unsaved, "drawn, and in no file beside the picture"
    assert metrics and all(isinstance(v, float) and math.isfinite(v) for v in metrics.values())
    (run,) = (tmp_path / "runs" / app.stem).iterdir()
    files = list((run / "figures").iterdir())
    pictures = [path for path in files if path.suffix == ".png"]
    assert pictures and {path.suffix for path in files} <= {".png", ".npz", ".csv", ".gif", ".svg"}
    for picture in pictures:
        assert picture.with_suffix(".npz").exists() or picture.with_suffix(".csv").exists(), picture
    for path in run.glob("figures/*.npz"):
        with np.load(path, allow_pickle=False) as numbers:
            assert numbers.files
    assert list((run / "validation").glob("events.out.tfevents.*"))
    said = capsys.readouterr().out
    assert f"numbers: {run / 'figures'}" in said and "Next:" in said and "tensorboard" in said

    assert main(["--out", str(tmp_path), "--resume", run.name]) == metrics  # finished: said, nothing done
    assert "is finished" in capsys.readouterr().out

    (run / "finished.json").unlink()  # as if it had been killed at its very end
    refuse_updates(monkeypatch)
    again = main(["--out", str(tmp_path), "--resume", run.name])
    assert without_times(again) == without_times(metrics)


def refuse_updates(monkeypatch):
    """Let every update of weights raise; training.fit may trace its step."""
    prepare, apply, preparing = steps.Steps.__init__, keras.optimizers.Optimizer.apply, []

    def prepared(*arguments, **keywords):
        preparing.append(True)
        prepare(*arguments, **keywords)
        preparing.pop()

    def applied(*arguments, **keywords):
        assert preparing, "a training that was complete is repeated"
        return apply(*arguments, **keywords)

    def stepped(*arguments, **keywords):
        raise AssertionError("a training that was complete is repeated")

    monkeypatch.setattr(steps.Steps, "__init__", prepared)
    monkeypatch.setattr(steps.Steps, "__call__", stepped)
    monkeypatch.setattr(keras.optimizers.Optimizer, "apply", applied)


def without_times(metrics):
    return {name: value for name, value in metrics.items() if not name.endswith("seconds")}


@pytest.mark.parametrize("app", EXPERIMENTS, ids=lambda p: p.stem)
def test_an_experiment_says_which_slide_and_source_it_is_of(app):
    text = app.read_text(encoding="utf-8")
    docstring = text.split('"""')[1]
    assert re.search(r'[Ss]lides? "', docstring), "which slide"
    assert "Look " in docstring or "look " in docstring, "what to look for in the pictures"
    assert docstring.count(f"python apps/{app.name}") >= 2, "commands to paste"
