"""What a card says to a person: it is generated from facts, and `show` puts it first."""

import re
import shutil

import pytest
import test_export as exports

from keras_dl import __main__ as command
from keras_dl import card_sentences, cards, data, errors, export, showing
from keras_dl.data import audio, image_sets, music, pairs, text
from keras_dl.endpoints import Endpoint
from keras_dl.features.classes import Label
from keras_dl.features.image import Image
from keras_dl.features.piano_roll import Roll
from keras_dl.features.sentences import Sentence
from keras_dl.features.text import Text
from keras_dl.features.tokens import Tokens

DATA = {"name": "pets", "source": "folder pets", "licence": "your own data", "counts": {"train": 1_440, "test": 360}}
TOKENS = Tokens("character", ("\ufffd", *"abc"))


def of(feature, output=None, described=DATA):
    outputs = {"answer": output} if output else {}
    return card_sentences.of({"serving_default": Endpoint(None, {"x": feature}, outputs)}, described)


@pytest.mark.parametrize(
    ("feature", "output", "unit", "words"),
    [
        (
            Image(exports.preprocessor()),
            Label(("a", "b", "c")),
            "pictures",
            ["none of its 3 classes", "12 x 12", "grey"],
        ),
        (Image(exports.preprocessor(3)), None, "pictures", ["12 x 12"]),
        (Text(TOKENS), None, "tokens", ["4 characters", "not what is true"]),
        (Roll(2), None, "pieces", ["88 notes"]),
        (Sentence(), None, "pairs", ["without its context"]),
    ],
)
def test_every_kind_says_for_what_it_is_not_fit(feature, output, unit, words):
    said = of(feature, output)
    assert said["trained_on"] == f"pets (folder pets): 1,440 train, 360 test {unit}"
    assert said["licence"] == "your own data"
    assert said["not_for"][-1] == f"fine comparisons: its figures were measured on 360 {unit} only"
    assert "pets" in said["not_for"][0] and not any("it has learnt from" in sentence for sentence in said["not_for"])
    for word in words:
        assert any(word in sentence for sentence in said["not_for"])


def test_few_examples_are_said_and_many_are_not():
    few = of(Sentence(), None, DATA | {"counts": {"train": 999, "validation": 5, "test": 1_000}})["not_for"]
    assert few[1:] == ["what is rare: it has learnt from 999 pairs only"]
    assert len(of(Sentence(), None, DATA | {"counts": {"train": 1_000, "test": 1_000}})["not_for"]) == 1


def test_a_licence_that_nobody_knows_is_not_invented():
    assert of(Sentence(), None, DATA | {"licence": ""})["licence"].startswith("unknown")
    assert "licence" not in of(Sentence(), None, {}) and "trained_on" not in of(Sentence(), None, {})


@pytest.mark.parametrize(
    ("licences", "names"),
    [
        ({name: known.licence for name, known in image_sets.SETS.items()}, image_sets.SETS),
        ({name: known.licence for name, known in text.SETS.items()}, text.SETS),
        (audio.LICENCES, audio.SETS),
        (music.LICENCES, music.SETS),
        (pairs.LICENCES, pairs.SETS),
    ],
)
def test_every_set_says_its_licence(licences, names):
    assert licences.keys() == names.keys() and all(licences.values())


def test_what_is_for_research_only_says_so():
    for licence in (pairs.LICENCES["multi30k"], text.SETS["ptb"].licence, music.LICENCES["musedata"]):
        assert re.search(r"research .*only|research only", licence)


def test_the_data_say_their_licence(tmp_path):
    assert data.images.load("digits").info.config()["licence"] == "CC BY 4.0"
    (tmp_path / "a.txt").write_text("some lines of text\n" * 40)
    assert data.text.load(str(tmp_path / "a.txt")).info.config()["licence"] == "your own data"


# What show prints


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An export whose card has all that a person needs."""
    model = exports.tiny()
    run = exports.a_run(tmp_path_factory.mktemp("card"))
    run.path.mkdir(parents=True)
    run.note("chosen", {"sentence": "60 epochs, since there are 3 steps an epoch", "values": {"epochs": 60}})
    card = {"data": DATA, "intervals": {"accuracy": [0.41, 0.593]}, "report": ["Best at ant.", "Worst at bee."]}
    served = export.classifier(model, exports.preprocessor(), exports.CLASSES)["serve"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports.fresh_process, "answers", exports.answers_in_this_process)
        return export.save(model, run, endpoints={"serving_default": served}, metrics={"accuracy": 0.5}, card=card)


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it, whose card may be changed."""
    return shutil.copytree(made, tmp_path / "tiny-noise" / "1")


def shown(capsys, folder):
    command.main(["show", str(folder)])
    return capsys.readouterr().out


def test_show_begins_with_what_a_person_needs(folder, capsys):
    said = shown(capsys, folder)
    parts = [
        "trained on\tpets (folder pets): 1,440 train, 360 test pictures", "test\taccuracy 0.5 [0.41, 0.593]",
        "report\tBest at ant.\nWorst at bee.", "not for\tpictures of another kind", "licence of the data\tyour own",
        "chosen\t60 epochs, since there are 3 steps an epoch", "How to call it",
        "# Endpoint serving_default", "# Details",
    ]  # fmt: skip
    places = [said.find(part) for part in parts]
    assert -1 not in places and places == sorted(places)
    assert cards.read(folder)["chosen"]["values"] == {"epochs": 60}


def test_a_list_of_numbers_in_a_request_takes_one_line(folder, capsys):
    """A time step of a piano-roll has 88."""
    card, body = cards.read(folder), {"roll": [[0] * 88, [1.5, -2e-7]], "text": "[ 1,  2 ]", "none": []}
    (folder / cards.CARD).write_text(cards.text(card | {"call": {"rest": {"url": "http", "body": body}}}))
    said = shown(capsys, folder)
    assert f"[{', '.join(['0'] * 88)}],\n" in said and "[1.5, -2e-07]\n" in said and '"none": []' in said
    assert '"text": "[ 1,  2 ]"' in said


def test_show_fits_into_80_columns(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown(capsys, folder))
    tables = [line for line in plain.splitlines() if line[:1] in tuple("│┃┏└")]
    assert tables and max(map(len, tables)) <= 80, max(tables, key=len)
    assert any("accuracy 0.5 [0.41, 0.593]" in line for line in tables)


def test_a_card_of_before_shows(folder, capsys):
    card = cards.read(folder)
    later = ("trained_on", "not_for", "licence", "intervals", "report", "chosen")
    card = {name: value for name, value in card.items() if name not in later}
    card["data"] = {name: value for name, value in DATA.items() if name != "licence"}
    (folder / cards.CARD).write_text(cards.text(card))
    said = shown(capsys, folder)
    assert "trained on\tpets (folder pets): 1,440 train, 360 test examples" in said and "accuracy 0.5\n" in said
    assert list(showing.metrics({"metrics": {"a": 1, "b": 2.0}, "intervals": {"b": [1.5, 2.5]}})) == [
        "a 1", "b 2 [1.5, 2.5]"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"), [("intervals", {"accuracy": [0.1]}), ("report", "a text"), ("chosen", {"values": {}})]
)
def test_a_damaged_field_is_named(folder, field, value):
    (folder / cards.CARD).write_text(cards.text({**cards.read(folder), field: value}))
    with pytest.raises(errors.UserError, match=f"card.json is damaged: {field}"):
        cards.read(folder)
