"""benchmarks/bad_inputs.py: what it takes for a clear answer, and that nothing that an input does stops the count."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_dl import settings

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package

import bad_inputs  # noqa: E402 (it is found through the line above)


def raising(error):
    def call():
        raise error

    return call


def refused_by_settings(sentence):
    return lambda: settings.check(False, sentence)


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (lambda: None, "works"),
        (refused_by_settings("--units: must be at least 1; got 0."), "refused"),
        (refused_by_settings("it cannot be."), "unnamed"),
        (refused_by_settings("units: " + "x" * 2000), "lines"),
        (raising(ValueError("units: raised by a library")), "traceback"),
        (lambda: int("units"), "traceback"),
        (lambda: settings.at_least(None, "units", 1), "traceback"),  # in our code, but not on purpose
        (raising(MemoryError()), "traceback"),
        (raising(SystemExit(3)), "traceback"),
        (raising(bad_inputs.Fault("accepted", "the logits are not finite")), "accepted"),
    ],
)
def test_an_answer_to_a_bad_input_is_clear_or_a_fault(call, outcome):
    assert bad_inputs.judged(bad_inputs.BadInput("somewhere", "something", call, ("units",)))[0] == outcome
    assert (outcome in bad_inputs.FAULTS) == (outcome not in ("works", "refused"))


def test_the_share_of_clear_answers_counts_every_fault():
    outcomes = ["works", "refused", *bad_inputs.FAULTS, "works"]
    records = [{"outcome": outcome} for outcome in outcomes]
    report = bad_inputs.summary({"builders": records[:6], "library": records[6:]})
    assert report["metrics"] == {"clear_of_all": 100 * 3 / len(outcomes), "tracebacks": 2, "hangs": 1}
    assert report["details"]["inputs"] == len(outcomes)


MISBEHAVING = """
import os, time
from bad_inputs import BadInput

def builders(rng, scratch):
    held = []
    return [
        BadInput("fine", "0", lambda: None),
        BadInput("waits", "1", lambda: time.sleep(1000)),
        BadInput("dies", "2", lambda: os._exit(3)),
        BadInput("grows", "3", lambda: [held.append(b"x" * 200_000_000), time.sleep(1000)]),
        BadInput("fine", "4", lambda: None),
    ]
"""


def test_what_hangs_dies_or_takes_all_memory_is_ended_and_the_rest_is_asked(tmp_path):
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    script = (BENCHMARKS / "bad_inputs.py").read_text()
    (tmp_path / "bad_inputs.py").write_text(
        script.replace('"builders": ("bad_inputs_calls"', '"builders": ("misbehaving"')
    )
    words = [
        "--part",
        "builders",
        "--jobs",
        "1",
        "--seconds",
        "3",
        "--memory",
        "120",
        "--json",
        tmp_path / "report.json",
    ]
    done = subprocess.run([sys.executable, tmp_path / "bad_inputs.py", *words], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    outcomes = json.loads((tmp_path / "report.json").read_text())["details"]["outcomes"]
    assert outcomes == {"works": 2, "hang": 1, "crash": 1, "memory": 1}
