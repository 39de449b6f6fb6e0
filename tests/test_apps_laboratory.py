"""The experiments of the lecture's figures: --smoke, pictures with their numbers, a resume, and mistakes."""

import math
import re

import numpy as np
import pytest
from app_files import EXPERIMENTS, main_of


@pytest.mark.parametrize("app", EXPERIMENTS, ids=lambda p: p.stem)
def test_smoke_leaves_pictures_with_their_numbers_and_a_finished_run(app, tmp_path, capsys):
    main = main_of(app)
    metrics = main(["--smoke", "--out", str(tmp_path)])
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


@pytest.mark.parametrize("app", EXPERIMENTS, ids=lambda p: p.stem)
def test_an_experiment_says_which_slide_and_source_it_is_of(app):
    text = app.read_text(encoding="utf-8")
    docstring = text.split('"""')[1]
    assert re.search(r'[Ss]lides? "', docstring), "which slide"
    assert "Look " in docstring or "look " in docstring, "what to look for in the pictures"
    assert docstring.count(f"python apps/{app.name}") >= 2, "commands to paste"
