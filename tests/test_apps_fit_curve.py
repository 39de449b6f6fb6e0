"""apps/fit_curve.py: the lecture's figures, a user's own points, and mistakes."""

import runpy
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from app_files import ROOT, main_of

from keras_dl import command_line
from keras_dl.errors import UserError

sys.path.insert(0, str(ROOT / "benchmarks"))  # scripts, not a package

import recorded
import tables_laboratory

main = main_of(ROOT / "apps" / "fit_curve.py")
PICTURES = {"fits", "descent", "errors", "resampled", "likelihood", "prior", "weight_decay", "bands"}


def test_the_numbers_of_the_table_are_reached(tmp_path, capsys):
    metrics = main(["--smoke", "--order", "9", "--out", str(tmp_path)])
    (run,) = (tmp_path / "runs" / "fit_curve").iterdir()
    assert {path.stem for path in run.glob("figures/*.png")} == PICTURES
    with np.load(run / "figures" / "fits.npz") as fits, np.load(run / "figures" / "prior.npz") as prior:
        coefficients, errors = fits["coefficients"], fits["sse"]
        of_data, of_prior, both = prior["vectors"]
    rows = {order: dict(zip(("intercept", "slope", "sse"), [*coefficients[k, :2], errors[k]], strict=True))
            for k, order in enumerate((1, 2, 9))}  # fmt: skip
    assert {name: metrics[name] for name in rows[9]} == rows[9]
    rows[9] |= {"map_difference": metrics["map_difference"]}
    table = tables_laboratory.TABLES["curve"].rows
    assert len(table) == 10
    for row in table:
        assert recorded.reaches(row, rows[int(row.name.removeprefix("order"))][row.metric]), row
    np.testing.assert_allclose(of_data + of_prior, both, rtol=1e-12)
    assert metrics["best_order"] == 2 and metrics["gamma"] == 0.25
    said = capsys.readouterr().out
    assert "order 1: SSE 2.2402, y = 1.6102 x + 1.0588;" in said and "1.60x + 1.05 is truncated" in said
    assert "order 9 has no validation error: 9 remaining points cannot determine it" in said
    assert "from least squares, where no weight is larger than 1 / decay = 20" in said


def test_what_is_said_of_a_decay_beside_the_loss_depends_on_the_weights():
    app = runpy.run_path(str(ROOT / "apps" / "fit_curve.py"))
    weak, strong = ({"decays": [decay] * 3, "marks": np.array([[3, 1.6], [0, 0]])} for decay in (0.25, 1.25))
    assert app["limit_of"](weak, False) == "where no weight is larger than 1 / decay = 4"
    assert app["limit_of"](strong, True) == (
        "whose largest weight is 1.6: with this decay none gets larger than 1 / decay = 0.8"
    )
    assert "whose largest weight is 3:" in app["limit_of"](strong, False)


@pytest.mark.parametrize(("distinct", "order"), [(4, 3), (5, 4), (10, 4)])
def test_the_next_commands_fit_the_points(distinct, order):
    app = runpy.run_path(str(ROOT / "apps" / "fit_curve.py"))
    config = app["Config"](data="prices.csv")
    for flags in app["next_flags"](config, SimpleNamespace(distinct=distinct)):
        assert flags[:2] == ["--data", "prices.csv"]
        parsed = command_line.parse(app["Config"], [str(flag) for flag in flags], app=app["APP"])
        assert parsed.order == (order if "--order" in flags else 1) and parsed.order < distinct


@pytest.mark.slow
def test_own_points_are_reported_in_their_own_units(tmp_path, capsys):
    x = np.linspace(1950, 2020, 25)
    file = tmp_path / "prices.csv"
    lines = [f"{a},{7 + 40 * (a - 1950)}" for a in x]
    file.write_text("\n".join(["year,price in $", *lines]))
    metrics = main(["--smoke", "--data", str(file), "--free-intercept", "--out", str(tmp_path)])
    assert metrics["slope"] == pytest.approx(40, rel=1e-6) and metrics["sse"] == pytest.approx(0, abs=1e-9)
    assert metrics["intercept"] == pytest.approx(7 - 40 * 1950, rel=1e-6)
    assert [run.name for run in (tmp_path / "runs" / "fit_curve").iterdir()] == ["polynomials-prices-1"]
    said = capsys.readouterr().out
    assert "prices: 25 points, for the fits x scaled to [-1, 1] and y standardised" in said and "truncated" not in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--data", "{tmp}/none.csv"], "--data: must be a text file of two columns, x and y"),
        (["--order", "10"], "--order: must be at most 9, one less than there are different x; got 10"),
        (["--true-order", "12"], "--true-order: must be at most 9"),
        (["--sigma", "0"], "--sigma: must be a number in [0.001, 1000]; got 0"),
        (["--order", "0"], "--order: must be a whole number from 1 to 20; got 0. Nearest: 1"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_written(flags, said, tmp_path):
    with pytest.raises(UserError) as caught:
        main([*(flag.format(tmp=tmp_path) for flag in flags), "--out", str(tmp_path)])
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())
