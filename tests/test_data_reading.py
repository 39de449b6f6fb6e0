"""Text files as people have them: one rule for line ends wherever they are read, and names said rightly."""

import os

import pytest

from keras_dl import inputs
from keras_dl.data import pairs, text, text_files, walking
from keras_dl.errors import UserError
from keras_dl.features import reading, unknown
from keras_dl.features.sentences import Sentence
from keras_dl.features.text import Text

ENDS = [
    "one\ntwo\nthree\n",
    "one\r\ntwo\r\nthree\r\n",
    "one\rtwo\rthree\r",
    "one\ntwo\r\nthree",
    "\ufeffone\rtwo\nthree",
]


def asked_about(name, feature):
    """The Sources of an INPUT of `predict`; its mistake is raised."""
    failures = []
    sources = inputs.sources([str(name)], {"input": feature}, failures)
    if failures:
        raise failures[0]
    return sources


def one_line(caught, said):
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value


@pytest.mark.parametrize("content", ENDS)
def test_every_line_end_is_one_and_nothing_else_is(content):
    assert reading.lines(reading.text_of(content.encode(), "it")) == ["one", "two", "three"]
    within = "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"
    assert reading.lines(reading.text_of(within.encode(), "it")) == [within]


def test_a_stray_carriage_return_ends_a_line_in_training_and_in_predict_alike(tmp_path, monkeypatch):
    """So does the file of ../shared/cases, of which three lines made four in one place and three in the other."""
    pytest.importorskip("sentencepiece", reason="extra [translation] is not installed")
    lines = [f"May {i}, 19{i:02d}" for i in range(10, 30)]
    content = "".join(line + end for line, end in zip(lines, ["\n", "\r", "\r\n", "\n"] * 5, strict=True))
    source, target = tmp_path / "a.en", tmp_path / "a.de"
    source.write_bytes(content.encode())
    target.write_text("".join(f"{line}!\n" for line in lines))
    splits = pairs.load(str(source), target=str(target), vocabulary_size=40)
    read = {
        pair for part in (splits.train, splits.validation, splits.test)
        for pair in zip(part.features["source_text"], part.features["target_text"], strict=True)
    }  # fmt: skip
    assert read == {(line.encode(), f"{line}!".encode()) for line in lines}
    assert [source.content for source in asked_about(source, Sentence())] == lines
    whole = text_files.load(str(source), ())[1]
    assert "".join(whole.values()) == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\rb\nc\xe9", "byte 5, in line 3, is 0xe9, which is not."),
        (b"a\nb\0c", "byte 3, in line 2, is 0x00, which is not."),
        ("größer\n".encode("utf-16"), "it is UTF-16."),
        ("größer\n".encode("utf-16-be"), "it is UTF-16 without a byte-order mark."),
        ("größer\n".encode("utf-16-le"), "it is UTF-16 without a byte-order mark."),
        ("größer\n".encode("utf-32"), "it is UTF-32."),
    ],
)
def test_what_is_no_text_in_utf_8_is_named(content, said, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    for ask in (
        lambda: reading.read(tmp_path / "a.txt", "text.load"),
        lambda: text.load(str(tmp_path / "a.txt")),
        lambda: asked_about(tmp_path / "a.txt", Sentence()),
        lambda: asked_about(tmp_path / "a.txt", Text()),
    ):
        with pytest.raises(UserError) as caught:
            ask()
        one_line(caught, f"{tmp_path}/a.txt must be text in UTF-8; {said}")


ORDINARY = [
    "Nr. 5.", "e.g.", "and/or", "Hello.", "z.B.", "U.S.A", "3.14", "24/7", "km/h", "he/she/they", "Ph.D.", "Dr.Smith",
    "See notes.txt for more", "a man / a woman", "www.python.org", "http://example.org/a.html", "me@example.de", "def ",
    "Please open the file readme.txt", "os.path", "1/2", "...", "~", "x" * 5000, "two\nlines/of.txt", "", " ",
]  # fmt: skip
MISTYPED = [
    "my.en",
    "data/my.en",
    "my.de.txt",
    "./x",
    "../x",
    "/x",
    "~/x.txt",
    "MY.EN",
    "there/frist",
    "a storry.txt",
    "file name.txt",
]


@pytest.mark.parametrize("words", ORDINARY)
def test_ordinary_words_are_words(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reading.mistyped(words) is None


@pytest.mark.parametrize("words", MISTYPED)
@pytest.mark.parametrize("feature", [Text(), Sentence()], ids=["text", "sentence"])
def test_a_mistyped_file_is_not_answered_as_words(words, feature, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("there/first", "a story.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a")
    with pytest.raises(UserError) as caught:
        asked_about(words, feature)
    one_line(caught, f"predict: {words} is no file that is there")
    near = {"there/frist": "there/first", "a storry.txt": "a story.txt"}.get(words)
    if near:
        one_line(caught, f"; nearest: {near}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("~nobody-at-all/x", "begins with ~nobody-at-all, and this machine knows no such user."),
        ("x" * 300, "cannot be read: File name too long."),
        ("a\0b", "; got 'a\\x00b'."),
        ("a\udcffb", "must be UTF-8; rename the file or folder."),
    ],
)
def test_a_name_that_no_file_can_have_is_said_rightly(name, said, tmp_path):
    (tmp_path / "a.en").write_text("a\n")
    own = str(tmp_path / "a.en")
    for load in (
        lambda: text.load(name),
        lambda: pairs.load(name, target=own),
        lambda: pairs.load(own, target=name),
    ):
        with pytest.raises(UserError) as caught:
            load()
        one_line(caught, said)


@pytest.mark.parametrize("name", ["story [1].txt", "a**b?.txt", "a\\b.txt", "~x.txt", "é ü.txt"])
def test_a_file_may_have_any_name(name, tmp_path, monkeypatch):
    folder = tmp_path / "my texts [2024]"
    folder.mkdir()
    (folder / name).write_text("ab cd ef\n" * 50)
    (folder / "target.txt").write_text("ab cd ef\n" * 50)
    assert text.load(str(folder / name)).info.name == name
    assert text.load(str(folder)).info.counts["train"] > 300
    assert len(asked_about(folder / name, Sentence())) == 50


def test_a_folder_where_a_file_is_needed(tmp_path):
    (tmp_path / "a.en").write_text("a\n")
    with pytest.raises(UserError) as caught:
        pairs.load(str(tmp_path), target=str(tmp_path / "a.en"))
    one_line(caught, f"{tmp_path} cannot be read: Is a directory.")


# What a folder has.


def tree(root, content):
    for name, inside in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(inside)
    return root


LINE = "some words of a text\n"


@pytest.mark.parametrize(
    "names",
    [
        ("Train.txt", "VALID.txt", "Test.TXT"),
        ("a.train.tokens", "a.dev.tokens", "a.testing.tokens"),
        ("Training/one.md", "Development/two.md", "test/three.py"),
        ("train.txt", "val/a.txt", "test.txt"),
    ],
)
def test_a_folder_has_its_own_splits_by_their_usual_names(names, tmp_path):
    marks = dict(zip(("train", "validation", "test"), "abc", strict=True))
    tree(tmp_path / "own", {name: mark * 30 + "\n" for name, mark in zip(names, marks.values(), strict=True)})
    (tmp_path / "own" / "README.txt").write_text("of no split\n")
    _, texts, notes, _ = text_files.load(str(tmp_path / "own"), ())
    assert texts == {part: mark * 30 + "\n" for part, mark in marks.items()}
    assert notes == ("left out, of no split: 1 (README.txt)",)


@pytest.mark.parametrize("given", ["test", "validation"])
def test_a_split_that_is_missing_is_held_out_of_train_and_it_is_said(given, tmp_path):
    missing = {"test": "validation", "validation": "test"}[given]
    train = "".join(f"{i} {LINE}" for i in range(200))
    tree(tmp_path / "own", {"train.txt": train, f"{given}.txt": LINE})
    _, texts, notes, _ = text_files.load(str(tmp_path / "own"), ())
    assert texts["train"] + texts[missing] == train and texts[given] == LINE
    assert 0.04 < len(texts[missing]) / len(train) < 0.06 and texts["train"].endswith("\n")
    assert len(notes) == 1 and notes[0].startswith(f"no {missing} split in ") and "5% of train" in notes[0]


def test_what_a_folder_has_besides_texts_is_said(tmp_path):
    root = tree(tmp_path / "own", {
        "a.txt": LINE * 9, "b/c.txt": LINE * 7, "b/copy of a.txt": LINE * 9, ".hidden.txt": "x", "Thumbs.db": "x",
        "picture.png": "x", "table.xls": "x",
    })  # fmt: skip
    tree(tmp_path / "elsewhere", {"d.txt": LINE * 8})
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "linked.txt").symlink_to(tmp_path / "elsewhere" / "d.txt")
    (root / "nothing.txt").symlink_to(tmp_path / "not there")
    (root / "b" / "back").symlink_to(root)
    _, texts, notes, _ = text_files.load(str(root), ())
    assert "".join(texts.values()) == LINE * (9 + 7 + 8)
    assert set(notes) == {
        "left out, hidden or the system's own: 2 (.hidden.txt, Thumbs.db)",
        "left out, links that lead back: 1 (b/back)",
        "left out, links to nothing: 1 (nothing.txt)",
        "left out, no text by their endings: 2 (picture.png, table.xls)",
        "left out, with the same text as another: 2 (b/copy of a.txt as a.txt, linked.txt as linked/d.txt)",
    }


def test_the_same_text_in_two_splits_is_said(tmp_path):
    tree(tmp_path, {"train/a.txt": LINE, "train/b.txt": LINE * 2, "test/c.txt": LINE, "valid/d.txt": LINE * 3})
    _, _, notes, warnings = text_files.load(str(tmp_path), ())
    assert notes == () and warnings == (
        "the same text stands in several splits: 1 (the first: train/a.txt and test/c.txt); scores on it mean little",
    )


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    """Root may read every folder, so the refusal is the operating system's in name alone."""
    tree(tmp_path, {"closed/a.txt": "x", "b.txt": "x"})
    listdir = os.listdir

    def refusing(folder):
        if os.path.basename(folder) == "closed":
            raise PermissionError(13, "Permission denied")
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refusing)
    found, passed = walking.files(tmp_path)
    assert [file.name for file in found] == ["b.txt"]
    assert walking.sentences(passed) == ("left out, that cannot be read (Permission denied): 1 (closed)",)


# What a vocabulary does not have.


def test_what_validation_and_test_have_alone_is_said(tmp_path):
    content = {"train.txt": "abc " * 50 + "\n", "valid.txt": "abcd dé\n", "test.txt": "abc\n"}
    splits = text.load(str(tree(tmp_path, content)))
    assert splits.notes == () and splits.warnings == (
        "validation: 3 characters (2 different) are not in the vocabulary and are read as \ufffd: 'd' (2 times), 'é'",
    )
    splits = text.load(str(tmp_path), level="word")
    assert "validation: 2 words (2 different) are not in the vocabulary and are read as <unk>" in splits.warnings[0]


def test_a_sentence_on_unknown_characters_can_be_printed():
    said = unknown.sentence("it", {"\n": 1, "\u200b": 3, "a": 1, "b": 1, "c": 1, "d": 1, "\x00": 1}, "character", "x")
    assert said.isprintable() and said.endswith("and 2 more") and "'\\u200b' (3 times)" in said
    assert unknown.sentence("it", {}, "word", "x") == ""
    assert "1 word is not in the vocabulary and is read as x: 'b'" in unknown.sentence("it", {"b": 1}, "word", "x")
