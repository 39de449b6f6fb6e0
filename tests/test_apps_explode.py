"""The app of exploding gradients: it goes on in the training in which it was killed, and mistakes are one line."""

import pytest
from app_files import ROOT, killed_and_resumed, main_of

from keras_dl import errors, training

APP = ROOT / "apps" / "explode.py"
SMALL = ["--smoke", "--grid", "10", "--units", "2", "--updates", "2"]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path, monkeypatch):
    whole, resumed, _ = killed_and_resumed(APP, SMALL, tmp_path, monkeypatch, training)
    assert resumed == whole


@pytest.mark.parametrize(("flags", "said"), [(["--start-w", "9"], "--start-w"), (["--reading", "slides"], "slide")])
def test_a_mistake_is_one_line(flags, said, tmp_path, capsys):
    with pytest.raises((SystemExit, errors.UserError)) as refused:
        main_of(APP)([*flags, "--out", str(tmp_path)])
    assert said in f"{refused.value}{capsys.readouterr().err}" and not list(tmp_path.iterdir())
