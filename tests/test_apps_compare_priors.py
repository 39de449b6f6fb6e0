"""The app of priors: its trainings are kept, its equality holds, its benchmark runs, and mistakes are one line."""

import csv
import dataclasses
import runpy
import sys

import numpy as np
import pytest
from app_files import ROOT, killed_and_resumed, main_of

from keras_dl import errors

sys.path.insert(0, str(ROOT / "benchmarks"))  # scripts, not a package

APP = ROOT / "apps" / "compare_priors.py"


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path, monkeypatch):
    from keras_dl.laboratory import equal_training

    flags = ["--smoke", "--figure", "learning"]
    whole, resumed, calls = killed_and_resumed(
        APP, flags, tmp_path, monkeypatch, equal_training.Trainer, "trained", at=4
    )
    assert resumed == whole
    assert calls == 8 - 3  # those that were complete are not repeated


@pytest.mark.slow
def test_the_figures_say_what_the_lecture_says(tmp_path, capsys):
    """With short trainings: the MLP is the ConvNet, a deep linear network is one matrix, background teaches nothing."""
    flags = ["--figure", "unrolled", "--out", str(tmp_path)]
    metrics = main_of(APP)(flags)
    assert metrics["difference"] < 1e-6 and metrics["lenet_difference"] < 1e-6
    # LeNet-5: C1 784 x 4704, S2 and C3 4704 x 1600, S4 and F5 1600 x 120, then 120 x 84 and 84 x 10, with biases
    lenet = [784, 28 * 28 * 6, 10 * 10 * 16, 120, 84, 10]
    assert metrics["lenet_weights"] == sum((a + 1) * b for a, b in zip(lenet, lenet[1:], strict=False))
    assert metrics["lenet_parameters"] == 61_706
    assert "LeNet-5: 61,706 parameters" in capsys.readouterr().out
    more = ["--sizes", "60", "--updates", "30", "--out", str(tmp_path)]
    assert main_of(APP)(["--figure", "filters", *more])["unseen_change"] == 0
    linear = main_of(APP)(["--figure", "activations", "--units", "8", "--seeds", "1", *more])
    assert linear["linear_difference"] < 1e-6


def test_the_benchmark_of_the_table_runs_and_has_every_row(capsys):
    import priors
    import tables_laboratory

    result = priors.measure("mlp", 100, smoke=True)
    rows = tables_laboratory.TABLES["priors"].rows
    assert {row.name for row in rows} == {f"{network}_{size}" for network in priors.NETWORKS for size in priors.SIZES}
    for row in rows:
        network, size = row.name.split("_")
        assert row.command == f"benchmarks/priors.py {network} {size}"
        assert row.gain_over or row.metric in result["metrics"]
    gains = [row for row in rows if row.gain_over]
    assert len(gains) == 4 and all(row.bar == (">=", 0.1) for row in gains)
    for row in gains:  # reproduce.py takes the first metric of both rows
        first = [next(each.metric for each in rows if each.name == name) for name in (row.name, row.gain_over)]
        assert first == ["test_error_shifted"] * 2
    for figure in result["metrics"].values():
        assert 0 < figure["spread"][0] <= figure["value"] <= figure["spread"][1] <= 100
    assert result["details"]["parameters"] > 10_000 and result["curves"]["network"] == "mlp"


def test_what_is_said_of_background_depends_on_the_weights():
    app = runpy.run_path(str(APP))
    seen = np.array([True, False])
    assert "stay as they were drawn" in app["of_unseen"](~seen, 0.0)
    for unseen, change in ((seen, 0.25), (np.zeros(2, bool), 0.0)):
        assert app["of_unseen"](unseen, change) == f"the largest change of a weight of these pixels is {change:.2g}"


@pytest.mark.slow
def test_the_filters_of_the_convnet_are_local_and_background_teaches_nothing(tmp_path):
    import tables_laboratory

    metrics = main_of(APP)(["--smoke", "--figure", "filters", "--out", str(tmp_path)])
    (row,) = [row for row in tables_laboratory.TABLES["priors_digits"].rows if row.name == "filters"]
    assert metrics[row.metric] == 0
    assert metrics["locality_convnet"] == pytest.approx(1) and metrics["locality_mlp"] < 0.5


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--sizes", "100", "5000"], "--sizes: must be at most 1,437, the training pictures of digits; got 5,000."),
        (["--sizes", "5"], "--sizes"),
        (["--target", "100"], "--target: must be a number in [20, 99]; got 100"),
        (["--figure", "filters", "--shift", "1"], "--shift: must be given with --figure learning or orders, else"),
        (["--dataset", "cifar10"], "digits"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_written(flags, said, tmp_path):
    with pytest.raises(errors.UserError) as refused:
        main_of(APP)([*flags, "--out", str(tmp_path)])
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_numbers_of_a_picture_are_those_that_are_said(tmp_path):
    metrics = main_of(APP)(["--smoke", "--figure", "learning", "--shift", "1", "--out", str(tmp_path)])
    (file,) = tmp_path.glob("runs/compare_priors/learning-digits-1/figures/learning.csv")
    with open(file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4  # two networks, two sizes, one seed
    for row in rows:
        for metric in ("test_error", "test_error_shifted", "test_error_both_shifted"):
            assert metrics[f"{row['network']}_{row['examples']}_{metric}"] == pytest.approx(float(row[metric]))


def test_flags_change_the_setup():
    app = runpy.run_path(str(APP))
    config = dataclasses.replace(app["Config"](), sizes=(10,), updates=7, shift=1)
    setup = app["set_up"](config)
    assert (setup.sizes, setup.updates, setup.shift) == ((10,), 7, 1)
    usual = app["set_up"](app["Config"]())
    assert (usual.sizes, usual.updates, usual.shift) == ((100, 300, 1000), 600, 2)
