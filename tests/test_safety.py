"""What strangers can send: the largest requests of every endpoint, and files made to burst memory, within the bars."""

import json
import sys
from pathlib import Path

import pytest

from keras_dl import cards
from keras_dl.errors import UserError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package

import largest_requests
import safety
import tables


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """exported(app) -> the export that the app makes by default, made once."""
    made = {}

    def exported(app):
        if app not in made:
            made[app] = safety.exported(app, tmp_path_factory.mktemp(app))
        return made[app]

    return exported


@pytest.mark.slow
@pytest.mark.parametrize("row", safety.ROWS)
def test_the_worst_that_can_be_sent_stays_within_the_bars(exported, row):
    bars = {line.metric: line.bar[1] for line in tables.TABLES["safety"].rows if line.name == row}
    for case, result in safety.measure(row, exported(safety.app_of(row))).items():
        assert result["peak_mb"] <= bars["peak_mb"], (case, result)
        assert result["seconds"] <= bars["seconds"], (case, result)
        assert row in safety.BOMBS or result["outcome"] == "answered", (case, result)
        assert result["outcome"] == "answered" or result["outcome"].startswith("refused"), (case, result)


def test_every_input_has_a_row_and_every_endpoint_requests():
    assert {line.name for line in tables.TABLES["safety"].rows} == set(safety.ROWS)
    assert set(largest_requests.REQUESTS) == set(safety.ENDPOINTS)


def test_a_peak_is_what_was_taken_in_between_whatever_was_taken_before():
    def refuse():
        raise UserError("too large")

    for size in (300, 0):  # MB
        taken = safety.measured(lambda size=size: len(b"x" * (size * 10**6)))
        assert taken["outcome"] == "answered" and size <= taken["peak_mb"] + 10 <= size + 60
    assert safety.measured(refuse)["outcome"] == "refused: too large"


def test_a_card_has_the_newest_figures_of_the_table(tmp_path, monkeypatch):
    details = {"model": "m", "app": "model_music", "endpoint": "score"}
    lines = [
        {"metric": metric, "value": value, "details": details, "date": date, "commit": "c"}
        for date, factor in (("2026-01-01T00:00", 1), ("2026-02-02T00:00", 2))
        for metric, value in (("peak_mb", 100.0 * factor), ("seconds", 1.0 * factor))
    ]
    lines.append(lines[0] | {"details": {"model": "of a bomb"}})
    (tmp_path / "safety.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(cards, "MEASURED", tmp_path / "safety.jsonl")
    wanted = {"peak_mb": 200.0, "seconds": 2.0, "model": "m", "date": "2026-02-02", "commit": "c"}
    assert cards.measured("model_music", ["serving_default", "score"]) == wanted
    assert cards.measured("model_music", ["generate"]) == cards.measured("model_text", ["score"]) == {}
    monkeypatch.setattr(cards, "MEASURED", tmp_path / "none.jsonl")
    assert cards.measured("model_music", ["score"]) == {}
