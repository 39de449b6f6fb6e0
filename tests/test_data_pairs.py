"""Laws of sentence pairs: sides stay aligned, nothing leaks between splits, files that will not do are said so."""

import functools
import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data
from keras_dl.data import multi30k, pairs, plans, prepared
from keras_dl.errors import UserError

RAW = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw" / "multi30k"
PARTS = ("train", "validation", "test")


@pytest.fixture
def sentencepiece():
    return pytest.importorskip("sentencepiece", reason="extra [translation] is not installed")


@pytest.fixture
def babel(sentencepiece):
    return pytest.importorskip("babel", reason="extra [translation] is not installed")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No data folder but an empty one, and no network."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "answers", lambda host: False)
    return tmp_path / "tfds"


def own(folder, sources, targets, seed=0, **options):
    """pairs.load of two files: lists of lines, or bytes."""
    paths = folder / "a.en", folder / "a.de"
    for path, lines in zip(paths, (sources, targets), strict=True):
        path.write_bytes(lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode())
    return pairs.load(str(paths[0]), seed, target=str(paths[1]), **{"vocabulary_size": 60} | options)


def texts_of(splits):
    """{split: [(source, target), ...]}."""
    return {
        part: [tuple(t.decode() for t in two) for two in zip(f["source_text"], f["target_text"], strict=True)]
        for part, f in ((part, getattr(splits, part).features) for part in PARTS)
    }


def languages_of(info):
    return tuple(info.features[side]["language"] for side in ("source", "target"))


def one_line(caught, said):
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value


# The plan.


def lengths_like_multi30k(size=6000):
    rng = np.random.default_rng(0)
    source = np.exp(rng.normal(2.6, 0.33, size)).astype(int) + 4
    return np.stack([source, np.maximum(4, (source * rng.normal(1.05, 0.18, size)).astype(int))], 1)


@pytest.mark.parametrize("two", [True, False], ids=["pairs", "one side"])
@pytest.mark.parametrize("batch_tokens", [1, 40, 500, 2048, 10**7])
def test_batches_of_tokens_have_every_example_once_within_the_bound(batch_tokens, two):
    lengths = lengths_like_multi30k(700) if two else lengths_like_multi30k(700)[:, 1]
    longer = lengths.max(1) if two else lengths
    plan = plans.by_tokens(lengths, batch_tokens)(seed=1, epoch=2)
    assert np.array_equal(np.sort(np.concatenate(plan)), np.arange(700)) and all(len(batch) for batch in plan)
    assert all(len(batch) * longer[batch].max() <= batch_tokens or len(batch) == 1 for batch in plan)
    plan = sorted(plan, key=lambda batch: (longer[batch].max(), longer[batch].min(), -len(batch)))
    for one, after in zip(plan, plan[1:], strict=False):  # of like lengths, and none more would have gone in
        assert longer[one].max() <= longer[after].min()
        assert (len(one) + 1) * longer[after].min() > batch_tokens


def test_batches_of_tokens_are_another_order_each_epoch_and_a_function_of_it():
    lengths = lengths_like_multi30k(2000)
    plan = plans.by_tokens(lengths, 1024)
    a, b, other = plan(3, 0), plan(3, 1), plan(4, 0)
    assert all(np.array_equal(x, y) for x, y in zip(a, plans.by_tokens(lengths, 1024)(3, 0), strict=True))
    assert len(a) == len(b) == len(other)
    sets = [{frozenset(batch.tolist()) for batch in epoch} for epoch in (a, b, other)]
    assert len(sets[0] & sets[1]) < len(a) / 5 > len(sets[0] & sets[2])  # of the very long there is no choice
    longest = [lengths[batch].max() for batch in a]
    assert longest != sorted(longest) and longest != [lengths[batch].max() for batch in b]  # long and short ones mixed


def test_little_is_padded():
    lengths = lengths_like_multi30k()
    for batch_tokens in (1024, 4096):
        plan = plans.by_tokens(lengths, batch_tokens)(0, 0)
        size = sum(len(batch) * lengths[batch].max(0).sum() for batch in plan)
        assert 0 < 1 - lengths.sum() / size < 0.1


# One's own files.

LINES = [f"{a} {b}" for a in ("red", "green", "blue", "old", "new") for b in ("house", "cat", "tree", "car")] * 3
TWINS = [line[::-1] for line in LINES]


def test_sides_stay_aligned_and_every_pair_is_in_one_split(sentencepiece, tmp_path):
    splits = own(tmp_path, LINES, TWINS)
    texts = texts_of(splits)
    assert sorted(sum(texts.values(), [])) == sorted(zip(LINES, TWINS, strict=True))
    assert splits.info.counts == {part: len(texts[part]) for part in PARTS} == {"train": 54, "validation": 3, "test": 3}
    sources = [{source for source, _ in texts[part]} for part in PARTS]
    assert sum(map(len, sources)) == len(set().union(*sources)) == 20  # equal sources are in one split
    assert texts["train"] == [pair for pair in zip(LINES, TWINS, strict=True) if pair in texts["train"]]  # in order


def test_the_draw_is_a_function_of_the_seed(sentencepiece, tmp_path):
    first, again, other = (texts_of(own(tmp_path, LINES, TWINS, seed)) for seed in (0, 0, 1))
    assert first == again and first["test"] != other["test"]


def test_ids_are_the_texts(sentencepiece, tmp_path):
    splits = own(tmp_path, LINES, TWINS)
    for part in PARTS:
        features = getattr(splits, part).features
        for side in ("source", "target"):
            want = splits.preprocess.encode(features[f"{side}_text"].tolist()).to_list()
            assert [ids.tolist() for ids in features[side]] == want
            assert features[side].values.dtype == np.int32
    info = splits.info
    assert len(splits.preprocess.pieces) == 60
    for side, language in (("source", "en"), ("target", "de")):
        longest = max(int(getattr(splits, part).features[side].lengths.max()) for part in PARTS)
        assert info.features[side] == {"language": language, "vocabulary_size": 60, "longest": longest}
    rows = "".join(f"{a}\t{b}\n" for part in PARTS for a, b in texts_of(splits)[part])
    assert info.details["sha256"] == hashlib.sha256(rows.encode()).hexdigest()
    assert (info.name, info.source) == ("a.en", "text files a.en and a.de")
    assert (info.details["dropped"], info.details["skipped"]) == (0, 0)


def test_encoding_in_chunks_changes_nothing(sentencepiece, tmp_path, monkeypatch):
    whole = own(tmp_path, LINES, TWINS)
    monkeypatch.setattr(pairs, "CHUNK", 7)
    cut = own(tmp_path, LINES, TWINS)
    assert [ids.tolist() for ids in whole.train.features["target"]] == [
        i.tolist() for i in cut.train.features["target"]
    ]


def test_subwords_are_of_both_sides_of_the_training_split_alone(sentencepiece, tmp_path):
    # Every line has a character of its own on either side: those of the other splits must not be pieces.
    sources, targets = ([f"same {chr(first + i)}" for i in range(40)] for first in (0x400, 0x4E00))
    splits = own(tmp_path, sources, targets, vocabulary_size=200)
    pieces = {piece for piece in splits.preprocess.pieces if len(piece) == 1}
    seen = {part: set("".join(a + b for a, b in texts_of(splits)[part])) - {" "} for part in PARTS}
    assert pieces == seen["train"] | {"▁"} and len(seen["test"] - seen["train"]) == 4


def test_pairs_go_into_batches(sentencepiece, tmp_path):
    splits = own(tmp_path, LINES, TWINS)
    lengths = np.stack([splits.train.features[side].lengths + 1 for side in ("source", "target")], 1)
    plan = plans.by_tokens(lengths, 64)
    pipeline = data.batches(splits.train, 1, collate=splits.preprocess.batch, plan=plan)
    read = []
    for x, y, w in pipeline.dataset():
        assert x["source"].shape[0] * max(x["source"].shape[1], y.shape[1]) <= 64
        assert x["target"].shape == y.shape == w.shape
        decode = splits.preprocess.decode
        read += zip(decode(x["source"]).numpy(), decode(y).numpy(), strict=True)
        np.testing.assert_array_equal(decode(y), decode(x["target"]))
    features = splits.train.features
    assert sorted(read) == sorted(zip(features["source_text"], features["target_text"], strict=True))


def test_long_pairs_are_left_out_of_training_alone(sentencepiece, tmp_path):
    sources = [f"{'long ' * (i % 10)}{i}" for i in range(100)]
    splits = own(tmp_path, sources, LINES + LINES[:40], longest=6, vocabulary_size=100)
    lengths = {
        part: np.stack([getattr(splits, part).features[side].lengths for side in ("source", "target")])
        for part in PARTS
    }
    assert lengths["train"].max() == 6 < max(lengths["validation"].max(), lengths["test"].max())
    assert splits.info.details["dropped"] > 0 and splits.info.details["dropped"] + splits.info.counts["train"] == 90
    longest = [splits.info.features[side]["longest"] for side in ("source", "target")]
    assert longest == np.concatenate(list(lengths.values()), 1).max(1).tolist()
    texts = [source.decode() for source in splits.train.features["source_text"]]
    assert all(len(ids) <= 6 for ids in splits.preprocess.encode(texts).to_list())
    assert splits.preprocess.decode(splits.train.features["source"][[0]].values[None]).numpy()[0].decode() == texts[0]
    whole = own(tmp_path, sources, LINES + LINES[:40], vocabulary_size=100)
    assert whole.preprocess == splits.preprocess and whole.info.counts["train"] == 90


def test_lines_are_made_regular_and_empty_pairs_skipped(sentencepiece, tmp_path):
    source = "\ufeffone  1\r\n\r\n two\t2 \r\nthree 3\r\n \t\r\nfour\u20284".encode()  # no line end at the end
    target = b"1 one\n\n2 two\n3 three\n\n4 four\n"
    splits = own(tmp_path, source, target)
    want = [("one 1", "1 one"), ("two 2", "2 two"), ("three 3", "3 three"), ("four\u20284", "4 four")]
    assert sorted(sum(texts_of(splits).values(), [])) == sorted(want)
    assert splits.info.details["skipped"] == 2 and splits.info.counts == {"train": 2, "validation": 1, "test": 1}


@pytest.mark.parametrize("copies", [(1, 1, 1), (9, 1, 1), (9, 1, 9), (5, 6, 7), (30, 30, 1, 1, 1), (2,) * 50])
def test_every_split_has_a_pair_however_often_sources_repeat(copies):
    lines = [f"line {k}" for k, count in enumerate(copies) for _ in range(count)]
    room = max(1, round(len(lines) / 20))
    for seed in range(9):
        parts = pairs._drawn(lines, seed, "it")
        assert sorted(sum(parts.values(), [])) == list(range(len(lines)))
        kinds = [{lines[i] for i in rows} for rows in parts.values()]
        assert all(kinds) and len(set.union(*kinds)) == sum(map(len, kinds)) == len(copies)
        smallest = sorted(copies)  # where none fits
        assert len(parts["test"]) <= max(room, smallest[0]) and len(parts["validation"]) <= max(room, smallest[1])


def test_the_held_out_are_a_share_up_to_a_bound():
    for size, want in ((3, 1), (19, 1), (100, 5), (1001, 50), (50_000, 2000)):
        parts = pairs._drawn([str(i) for i in range(size)], 0, "it")
        assert len(parts["validation"]) == len(parts["test"]) == want
        assert sorted(sum(parts.values(), [])) == list(range(size))
        assert parts["train"] == sorted(parts["train"])


def test_endings_name_the_languages():
    assert pairs._endings(Path("a/x.en"), Path("b.cs/y.fr")) == ("en", "fr")
    assert (
        pairs._endings(Path("x.txt"), Path("y.txt")) == pairs._endings(Path("x"), Path("y.de")) == ("source", "target")
    )


SOME = ["a b", "b c", "c d", "d e"]


@pytest.mark.parametrize(
    ("sources", "targets", "options", "said"),
    [
        (SOME, SOME[:3], {}, "a.de must have as many lines as each other; got 4 and 3."),
        (b"", SOME, {}, "a.de must have as many lines as each other; got 0 and 4."),
        (SOME, b"a\nb\nc\n\xc3\xa9caf\xe9\n", {}, "{folder}/a.de must be text in UTF-8; byte 11, in line 4, is 0xe9"),
        ("a\n".encode("utf-16"), SOME, {}, "{folder}/a.en must be text in UTF-8; it is UTF-16."),
        (["a", "b", "b"], SOME[:3], {}, "must have at least 3 different sources; got 2."),
        ([], [], {}, "must have at least 3 different sources; got 0."),
        (SOME, SOME, {"vocabulary_size": 5}, "vocabulary_size must be at least"),
        (SOME, SOME, {"longest": 1}, "no training pair of a.en has at most 1 sub-word a side, which"),
        (SOME, SOME, {"longest": 0}, "longest must be a whole number from 1 to 1,000,000; got 0. Nearest: 1."),
    ],
    ids=[
        "fewer targets", "no sources", "latin 1", "utf 16", "few", "none",
        "vocabulary", "all too long", "longest",
    ],
)  # fmt: skip
def test_files_that_will_not_do_are_one_line(sentencepiece, tmp_path, sources, targets, options, said):
    with pytest.raises(UserError) as caught:
        own(tmp_path, sources, targets, **options)
    one_line(caught, said.replace("{folder}", str(tmp_path)))


def test_files_that_are_not_there_are_one_line(tmp_path):
    (tmp_path / "a.en").write_text("a\n")
    for name, target, said in (
        ("a.en", "b.de", "b.de cannot be read: No such file or directory."),
        (".", "a.en", " cannot be read: Is a directory."),
        ("a.en", None, "; a file needs target, the file of its translations. Sets: dates, multi30k."),
    ):
        with pytest.raises(UserError) as caught:
            pairs.load(str(tmp_path / name), target=target and str(tmp_path / target))
        one_line(caught, said)
    with pytest.raises(UserError) as caught:
        pairs.load("dates", target="8")
    one_line(caught, "target goes with a file of sources; got '8' with the data set \"dates\".")


# The sets.


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("mulit30k/en-de", {}, 'no data set "mulit30k/en-de"; nearest: multi30k. Sets: dates, multi30k.'),
        ("multi30k/en", {}, 'the languages of multi30k must be two, such as "multi30k/de-fr"; got "en".'),
        ("multi30k/en-hu", {}, "multi30k needs two of cs, de, en, fr; got en and hu."),
        ("multi30k/en-en", {}, "multi30k needs two of cs, de, en, fr; got en and en."),
        (
            "multi30k",
            {"test": "test_2071"},
            "test must be one of 'test_2016', 'test_2017'; got 'test_2071'. Nearest: 'test_201",
        ),
        ("multi30k/en-cs", {"test": "test_2017"}, "multi30k has no test_2017 in cs; take test_2016."),
        ("dates", {"examples": 0}, "examples must be a whole number from 1 to 10,000,000; got 0. Nearest: 1."),
    ],
)
def test_sets_that_are_not_there_are_one_line(nowhere, name, options, said):
    with pytest.raises(UserError) as caught:
        pairs.load(name, **options)
    one_line(caught, said)


@pytest.mark.parametrize("name", ["dates", "dates/de-fr"])
def test_dates_are_what_is_generated(babel, monkeypatch, name):
    from keras_dl.data import dates

    monkeypatch.setattr(pairs, "DATES", 20)
    splits = pairs.load(name, 3, vocabulary_size=150, examples=200, chained=(2, 2))
    languages = ("de", "fr") if "/" in name else ("en", "iso")
    for part, count in (("train", 200), ("validation", 20), ("test", 20)):
        sides = dates.generate(count, 3, part=part, source=languages[0], target=languages[1], chained=(2, 2))
        assert texts_of(splits)[part] == list(zip(*sides, strict=True))
    info = splits.info
    assert languages_of(info) == languages and info.name == name.replace("/", "-") and info.source == dates.SOURCE
    assert info.counts == {"train": 200, "validation": 20, "test": 20}


def test_multi30k_that_is_nowhere_says_where_it_was_looked_for(nowhere):
    with pytest.raises(UserError) as caught:
        pairs.load("multi30k")
    one_line(caught, f"{nowhere}/downloads/manual/multi30k")
    one_line(caught, "train.de.gz, train.en.gz, val.de.gz")
    one_line(caught, "raw.githubusercontent.com does not answer")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.de", b"Worte\n", "must be train.de of SHA-256 2c2b73fd"),
        ("train.de.gz", gzip.compress(b"Worte\n"), "must be train.de of SHA-256 2c2b73fd"),
        ("train.de.gz", gzip.compress(b"Worte\n")[:-9], "must be train.de compressed with gzip; it is damaged"),
        (
            "train.de.gz",
            b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff",
            "must be train.de compressed with gzip; it is damaged",
        ),
    ],
    ids=["text", "compressed", "cut off", "damaged"],
)
def test_multi30k_that_is_another_text_is_refused(nowhere, name, content, said):
    folder = nowhere / "downloads" / "manual" / "multi30k"
    folder.mkdir(parents=True)
    for file in multi30k.FILES.values():
        for language in ("de", "en"):
            (folder / f"{file}.{language}").write_text("Worte\n")
    (folder / "train.de").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        pairs.load("multi30k")
    one_line(caught, f"{folder / name} {said}")
    assert not list((nowhere / "multi30k").glob("*/[0-9]*"))  # nothing half made is left


def test_multi30k_is_its_lines_in_order(sentencepiece, nowhere, monkeypatch):
    sizes = {"train": 300, "val": 30, "test_2016_flickr": 20, "test_2017_flickr": 10}
    folder = nowhere / "downloads" / "manual" / "multi30k"
    folder.mkdir(parents=True)
    lines = {}
    for file, size in sizes.items():
        for language in multi30k.SHA256[file]:
            lines[file, language] = [f"{language} {file} {i}" for i in range(size)]
            text = "".join(f"{line}\n" for line in lines[file, language]).encode()
            monkeypatch.setitem(multi30k.SHA256[file], language, hashlib.sha256(text).hexdigest())
            if language == "de":
                (folder / f"{file}.{language}").write_bytes(text)
            else:
                (folder / f"{file}.{language}.gz").write_bytes(gzip.compress(text))

    def both(file, a, b):
        return list(zip(lines[file, a], lines[file, b], strict=True))

    load = functools.partial(pairs.load, vocabulary_size=60)
    for name, a, b, test in (
        ("multi30k", "en", "de", "test_2016"), ("multi30k/de-en", "de", "en", "test_2017"),
        ("multi30k/fr-cs", "fr", "cs", "test_2016"),
    ):  # fmt: skip
        splits = load(name, test=test)
        assert texts_of(splits) == {
            "train": both("train", a, b), "validation": both("val", a, b), "test": both(f"{test}_flickr", a, b)
        }  # fmt: skip
        assert languages_of(splits.info) == (a, b) and splits.info.name == name.replace("/", "-")
    shutil.rmtree(nowhere / "downloads")  # it is prepared: nothing is looked for again
    assert texts_of(load("multi30k"))["test"] == both("test_2016_flickr", "en", "de")
    with pytest.raises(UserError) as caught:
        load("multi30k/en-fr")
    one_line(caught, "train.en.gz, train.fr.gz")


@pytest.mark.data
@pytest.mark.slow
def test_multi30k_has_its_sentences(sentencepiece, nowhere):
    if not RAW.is_dir():
        pytest.skip("data: the files of multi30k are not in ../shared/data/raw")
    shutil.copytree(RAW, nowhere / "downloads" / "manual" / "multi30k")
    splits = pairs.load("multi30k")
    info = splits.info
    assert info.counts == {"train": 29_000, "validation": 1014, "test": 1000}
    assert info.features["target"]["vocabulary_size"] == 8000
    assert texts_of(splits)["test"][0] == (
        "A man in an orange hat starring at something.", "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    )  # fmt: skip
    assert splits.preprocess.strings(tf.constant(splits.test.features["source"][[0]].values)).numpy()[:5].tolist() == [
        f"▁{word}".encode() for word in ("A", "man", "in", "an", "orange")
    ]
    lengths = np.stack([splits.train.features[side].lengths + 1 for side in ("source", "target")], 1)
    plan = plans.by_tokens(lengths, 2048)(0, 0)
    assert 1 - lengths.sum() / sum(len(b) * lengths[b].max(0).sum() for b in plan) < 0.08


def test_what_is_left_out_and_what_two_splits_share_is_said(sentencepiece, tmp_path, monkeypatch):
    lines = [f"{number} {word}" for number, word in enumerate(["one", "two", "three", "four"] * 15)]
    sources, targets = [*lines, "", " ", "left", "long " * 40], [*lines, "", "right", "", "long " * 40]
    monkeypatch.setattr(pairs, "_drawn", lambda lines, *_: {
        "train": range(len(lines) - 4), "validation": [0, 1], "test": [len(lines) - 1],
    })  # fmt: skip
    own(tmp_path, sources, targets)
    monkeypatch.setattr(pairs, "_drawn", lambda lines, *_: {
        "train": [*range(50), len(lines) - 1], "validation": [0, 1], "test": [59],
    })  # fmt: skip
    splits = own(tmp_path, sources, targets, longest=20)
    assert splits.notes == (
        "left out, empty on both sides: 1 pair",
        "left out, empty on one side: 2 pairs, the first is line 62 of a.en",
        "left out of train, longer than 20 sub-words: 1 pair",
    )
    assert splits.warnings == ("validation: 2 pairs of 2 stand in train too, word for word",)
    assert splits.info.details["skipped"] == 3 and splits.info.details["dropped"] == 1


def test_characters_that_train_does_not_have_are_said(sentencepiece, tmp_path):
    sources = [f"same {chr(0x400 + i)}" for i in range(40)]
    said = own(tmp_path, sources, sources, vocabulary_size=200).warnings
    assert [sentence.split(": ")[0] for sentence in said] == ["validation", "test"]
    assert all("4 characters (2 different) are not in the vocabulary and are read as <unk>" in each for each in said)


def test_one_file_is_not_its_own_translation(sentencepiece, tmp_path):
    (tmp_path / "a.en").write_text("a\nb\nc\n")
    (tmp_path / "b.en").symlink_to(tmp_path / "a.en")
    for other in ("a.en", "b.en"):
        with pytest.raises(UserError) as caught:
            pairs.load(str(tmp_path / "a.en"), target=str(tmp_path / other))
        one_line(caught, "source and target must be two files; got ")
