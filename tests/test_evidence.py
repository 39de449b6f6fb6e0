"""What `python -m keras_dl list` names: an architecture's laws, read from the tests, and its recorded figures."""

from pathlib import Path

import pytest

from keras_dl import __main__ as command
from keras_dl import evidence, models

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = {architecture.name: architecture for architecture in models.catalogue()}
CASES = """
from keras_dl import models
SEQUENCES = ("recurrent",)
CASES = {
    "linear": Case(models.build_linear),
    "mlp-deep": Case(models.build_mlp, {"units": (3, 3)}),
    "gru": Case(models.build_gru, SEQUENCES),
}

def having(capability):
    return [name for name, case in CASES.items() if capability in case.capabilities]
"""
LAWS = """
from cases import CASES
from keras_dl import models
from keras_dl.layers import LSTM

def helper():
    return models.build_linear()

class Recurrent:
    layer = LSTM

@parametrize("row", list(CASES))
def test_of_every_row(row):
    '''What every model obeys.

    More of it.
    '''

def test_of_one_row():
    CASES["mlp-deep"].make()

def test_with_a_helper():
    helper()

def test_of_a_layer():
    Recurrent()

@parametrize("row", having("recurrent"))
def test_of_rows_with_a_capability(row):
    CASES[row]

@parametrize("row", ["linear", "mlp-deep"])
def test_of_named_rows(row):
    CASES[row]

def test_of_nothing():
    pass
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "cases.py").write_text(CASES)
    (tmp_path / "test_laws_of_all.py").write_text(LAWS)
    (tmp_path / "test_speed.py").write_text("def test_no_law(): build_linear()")
    monkeypatch.setattr(evidence, "TESTS", tmp_path)
    evidence._table.cache_clear()
    yield
    evidence._table.cache_clear()


@pytest.mark.parametrize(
    ("name", "tests"),
    [
        ("linear", ["test_of_every_row", "test_with_a_helper", "test_of_named_rows"]),
        ("mlp", ["test_of_every_row", "test_of_one_row", "test_of_named_rows"]),
        ("lstm", ["test_of_a_layer"]),
        ("gru", ["test_of_every_row", "test_of_rows_with_a_capability"]),
        ("transformer", []),
    ],
)
def test_laws_are_those_that_mention_the_builder_its_rows_or_its_layers(project, name, tests):
    laws = evidence.laws(CATALOGUE[name])
    assert laws.keys() == ({"test_laws_of_all.py"} if tests else set())
    assert list(laws.get("test_laws_of_all.py", {})) == tests
    if "test_of_every_row" in tests:
        assert laws["test_laws_of_all.py"]["test_of_every_row"] == "What every model obeys."


def test_every_architecture_has_the_laws_of_all_and_laws_of_its_own():
    laws = {
        name: {(file, test) for file, tests in evidence.laws(architecture).items() for test in tests}
        for name, architecture in CATALOGUE.items()
    }
    of_all = set.intersection(*laws.values())
    assert len(of_all) >= 5
    assert [name for name in laws if laws[name] == of_all] == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_model_file_says_how_its_laws_and_figures_are_listed(name):
    docstring = (ROOT / CATALOGUE[name].file).read_text(encoding="utf-8").split('"""')[1]
    assert f"\nLaws and figures: python -m keras_dl list {name}\n" in docstring


def test_figures_of_an_architecture_are_those_that_were_recorded():
    recorded = evidence.recorded()
    rows = {(table, row.name, row.metric): record for table, row, record in recorded.of_architecture("lstm")}
    assert rows["ptb", "lstm_small", "perplexity"]["value"] > 1
    assert rows["memory", "pixel_mnist_lstm", "test_accuracy"] is None  # in the table, but not measured


def test_without_a_checkout_it_says_where_laws_and_figures_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evidence, "TESTS", tmp_path / "nothing")
    for words in (["list", "--saved-models", str(tmp_path)], ["list", "convnet"]):
        command.main(words)
        text = capsys.readouterr().out
        assert command.NO_CHECKOUT in text and "test_laws" not in text
