"""The app of descent: it goes on in the training in which it was killed, and mistakes are one line."""

import csv

import numpy as np
import pytest
from app_files import ROOT, killed_and_resumed, main_of

from keras_dl import errors, training

APP = ROOT / "apps" / "descend.py"
SADDLE = ["--part", "saddle", "--smoke"]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path, monkeypatch):
    whole, resumed, _ = killed_and_resumed(APP, SADDLE, tmp_path, monkeypatch, training, at=3)
    assert resumed == whole
    curves = [out.read_bytes() for out in sorted(tmp_path.glob("**/figures/training.csv"))]
    assert len(curves) == 2 and curves[0] == curves[1]


@pytest.mark.slow
def test_what_is_said_of_the_critical_points_is_what_stands_beside_the_picture(tmp_path):
    metrics = main_of(APP)([*SADDLE, "--out", str(tmp_path)])
    (folder,) = tmp_path.glob("runs/descend/*/figures")
    with np.load(folder / "critical_points.npz") as points:
        assert len(points["index"]) == metrics["critical_points"] > 0
        below = (points["eigenvalues"] < -1e-9 * np.abs(points["eigenvalues"]).max(1, keepdims=True)).mean(1)
        np.testing.assert_allclose(points["index"], 100 * below)
    with open(folder / "training.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"sgd", "sgd_by_passes", "damped_newton", "saddle_free_newton"}
    for row in rows:
        if row["update"] == "5":
            assert float(row["train_error"]) == metrics[f"train_error_{row['method']}"]
    starts = [(row["train_error"], row["index"]) for row in rows if row["update"] == "0"]
    assert len(starts) == 4 and len(set(starts)) == 1  # all methods begin with the same weights


def test_every_row_of_the_table_is_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import saddle_points
    import tables

    metrics = {"critical_points": 33.0}
    for number, name in enumerate(saddle_points.METHODS):
        metrics |= {f"train_error_{name}": number, f"index_{name}": number}
    for name in ("rank_correlation_all", "rank_correlation_searched"):
        metrics |= {name: 0.9, f"{name}_low": 0.8, f"{name}_high": 0.95}
    of = saddle_points.rows([metrics, {name: value + 2 for name, value in metrics.items()}])
    for row in tables.TABLES["saddle"].rows:
        assert row.metric in of[row.name]["metrics"]
    assert of["sgd"]["metrics"]["train_error"] == {"value": 1.0, "spread": [0, 2]}
    assert of["saddle_free_newton"]["metrics"]["below_sgd"] == {"value": -3.0, "spread": [-3, -3]}  # 0 less 3
    assert of["critical_points"]["metrics"]["rank_correlation_all"] == {"value": 0.9, "spread": [0.8, 0.95]}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--part", "saddles"], "saddle"),
        (["--updates", "12"], "--updates: must be a multiple of 5; got 12."),
        (["--examples", "40"], "--sgd-batch: must be at most --examples, 40; got 50."),
        (["--part", "saddle", "--steps", "7"], "--steps: must be given with --part paths"),
        (["--part", "paths", "--units", "4"], "--units: must be given with --part saddle"),
        (["--units", "18"], "--units"),
        (["--rate-factor", "0"], "--rate-factor"),
        (["--decay", "-1"], "--decay"),
    ],
)
def test_a_mistake_is_one_line(flags, said, tmp_path, capsys):
    with pytest.raises((SystemExit, errors.UserError)) as refused:
        main_of(APP)([*flags, "--out", str(tmp_path)])
    assert said in f"{refused.value}{capsys.readouterr().err}" and "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
