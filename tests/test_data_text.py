"""Laws of text: a stream loses no token, text <-> ids is the same everywhere, nothing leaks into the vocabulary."""

import collections
import functools
import hashlib
import io
import lzma
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data
from keras_dl.data import prepared, raw_files, text
from keras_dl.errors import UserError
from keras_dl.features.tokens import BUCKETS, LEVELS, Tokens

RAW = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw"
LETTERS = Tokens.of("Grüße, 世界 😀\n\tand\0so on\n", "character")
WORDS = Tokens.of("the cat\nthe dog said: naïve 世界\n", "word", 99)


def stream(size):
    return data.Examples({"tokens": np.arange(1, size + 1, dtype=np.int32)})


def load(path, content=None, **options):
    """text.load of a file with that content, or of a folder {name: content}."""
    for name, inside in (content if isinstance(content, dict) else {".": content}).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if inside is not None:
            file.write_bytes(inside if isinstance(inside, bytes) else inside.encode())
    return text.load(str(path), **options)


def words_of(splits, part):
    return [splits.preprocess.vocabulary[i] for i in getattr(splits, part).features["tokens"]]


def one_line(caught, said):
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value


# The windows.


@pytest.mark.parametrize(
    ("size", "rows", "steps"), [(8, 2, 3), (10, 3, 3), (50, 4, 6), (41, 4, 5), (5, 4, 9), (7, 1, 2)]
)
def test_windows_are_the_stream_and_state_sees_it_in_order(size, rows, steps):
    windows = text.windows(stream(size), rows, steps)
    pipeline = data.batches(windows, rows, collate=Tokens("character", ("\ufffd",)).batch)
    read = [[] for _ in range(rows)]  # (input, target) of each row, as a carried state meets them
    for k, (x, targets, weight) in enumerate(pipeline.dataset()):
        assert x["tokens"].shape == targets.shape == weight.shape == (rows, steps)
        assert x["start"].numpy().tolist() == [k == 0] * rows
        for b in range(rows):
            real = weight[b].numpy() == 1
            assert real.tolist() == sorted(real, reverse=True) and not (weight[b].numpy()[~real]).any()
            assert not targets[b].numpy()[~real].any()
            read[b] += zip(x["tokens"][b].numpy()[real], targets[b].numpy()[real], strict=True)
    whole = np.arange(1, size + 1)
    assert sum(read, []) == list(zip(whole[:-1], whole[1:], strict=True))  # row after row: every token, once, in order
    lengths = [len(row) for row in read]
    assert max(lengths) - min(lengths) <= 1
    assert pipeline.steps() == -(-max(lengths) // steps)


def test_the_shapes_of_a_batch_are_static():
    pipeline = data.batches(text.windows(stream(50), 4, 6), 4, collate=LETTERS.batch)
    x, targets, weight = pipeline.dataset().element_spec
    assert x["tokens"].shape[1] == targets.shape[1] == weight.shape[1] == 6
    assert x["tokens"].dtype == targets.dtype == tf.int32
    assert weight.dtype == tf.float32 and x["start"].dtype == tf.bool


@pytest.mark.parametrize(("size", "rows", "steps"), [(4, 4, 2), (9, 0, 2), (9, 2, 0)])
def test_windows_that_cannot_be_are_one_line(size, rows, steps):
    with pytest.raises(UserError) as caught:
        text.windows(stream(size), rows, steps)
    one_line(
        caught,
        "needs at least 5 tokens; got 4"
        if size == 4
        else "must be a whole number from 1 to 1,000,000; got 0. Nearest: 1.",
    )


# Text and ids.


@pytest.mark.parametrize("said", ["", "Grüße", "世界 😀\n\n", "\0\t", "so on\n" * 50])
def test_characters_come_back(said):
    assert LETTERS.decode(LETTERS.encode([said, "and"])).numpy().tolist() == [said.encode(), b"and"]


def test_characters_by_the_definition():
    assert LETTERS.vocabulary[0] == "\ufffd" and list(LETTERS.vocabulary[1:]) == sorted(LETTERS.vocabulary[1:])
    ids = LETTERS.encode(["世 on", "zo", b"o\xffn"])
    assert ids.dtype == tf.int32
    o, n = LETTERS.vocabulary.index("o"), LETTERS.vocabulary.index("n")
    assert ids[1:].to_list() == [[0, o], [o, 0, n]]  # not in the vocabulary; not UTF-8
    assert LETTERS.decode(ids).numpy()[1].decode() == "\ufffdo"
    assert LETTERS.decode(np.array([[o, n], [n, n]], np.int32)).numpy().tolist() == [b"on", b"nn"]


def test_the_replacement_character_in_a_text_is_said_to_be_unknown(tmp_path):
    """It stands for what was lost: no model should learn it, or draw it, without a word."""
    (tmp_path / "a.txt").write_text("caf\ufffd and na\ufffdve\n" * 20, encoding="utf-8")
    splits = text.load(str(tmp_path / "a.txt"))
    assert splits.preprocess.vocabulary.count("\ufffd") == 1
    assert [note.split(" are ")[0] for note in splits.warnings] == [
        "train: 36 characters (1 different)", "validation: 2 characters (1 different)",
        "test: 2 characters (1 different)",
    ]  # fmt: skip
    assert LETTERS.unknowns("o\ufffdn") == {"\ufffd": 1}


@pytest.mark.parametrize("said", ["", "the cat", "the cat\n", "\n\nthe 世界\n\n\ncat", "\n", "<unk> naïve\n<unk>"])
def test_words_come_back(said):
    assert WORDS.decode(WORDS.encode([said, "dog"])).numpy().tolist() == [said.encode(), b"dog"]


def test_words_come_back_with_white_space_made_regular():
    said = " the \t cat\r\n  <eos>dog <eos> said: \x0b\x0c\n"
    ids = WORDS.encode([said])
    assert [WORDS.vocabulary[i] for i in ids[0].numpy()] == [
        "the", "cat", "<eos>", "<unk>", "<eos>", "said:", "<eos>",
    ]  # fmt: skip
    assert WORDS.decode(ids).numpy()[0] == b"the cat\n<unk>\nsaid:\n"
    assert WORDS.encode(["a\u00a0cat cat\u2028 Cat"]).to_list() == [[WORDS.unknown] * 3]  # only ASCII's white space


def test_words_are_ranked_by_count_then_alphabet():
    tokens = Tokens.of("b a c\nb a d d d e\n", "word", 5)
    assert tokens.vocabulary == ("d", "<eos>", "<unk>", "a", "b")  # 3; 2 each, <unk> for c and e
    assert Tokens.of("b a\n", "word", 9).vocabulary == ("<eos>", "a", "b", "<unk>")


def test_a_word_of_the_same_hash_is_still_unknown(monkeypatch):
    tokens = Tokens.of("the cat\n", "word", 9)
    hashes, ids = tokens._hashes
    stranger = tf.strings.to_hash_bucket_fast(["stranger"], BUCKETS).numpy()
    place = np.searchsorted(hashes, stranger[0])
    tokens.__dict__["_hashes"] = (np.insert(hashes, place, stranger), np.insert(ids, place, 0))
    assert tokens.encode(["stranger"]).to_list() == [[tokens.unknown]]


@pytest.mark.parametrize(
    ("level", "vocabulary"), [("word", ("a",)), ("word", ("a", "<unk>", "a")), ("letter", ("\ufffd",))]
)
def test_a_vocabulary_that_cannot_be_is_refused(level, vocabulary):
    with pytest.raises(ValueError, match="Tokens: "):
        Tokens(level, vocabulary)


def test_a_graph_a_pipeline_and_a_rebuilt_object_give_the_same_ids():
    said = ["the cat said:\nwhat 世界", "", "dog\n"]
    for tokens in (LETTERS, WORDS):
        want = tokens.encode(said).to_list()
        config = tokens.config()
        again = Tokens(config["level"], tuple(config["vocabulary"]))  # nothing cached yet: made within the graph
        assert again == tokens and config["kind"] == "tokens"
        encode = tf.function(again.encode, input_signature=[tf.TensorSpec([None], tf.string)])
        assert encode(said).to_list() == want
        again = Tokens(config["level"], tuple(config["vocabulary"]))
        (inside,) = tf.data.Dataset.from_tensors(said).map(again.encode)
        assert inside.to_list() == want


RELOAD = """
import sys
sys.modules["keras_dl"] = None
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
said = tf.constant([bytes.fromhex(h) for h in sys.argv[2:]])
for level in ("character", "word"):
    out = loaded.signatures[level](said)
    print(level, out["ids"].numpy().tolist(), [s.hex() for s in out["text"].numpy()])
"""


def test_a_reloaded_export_gives_the_same_ids_and_text(tmp_path):
    import keras

    said = ["the cat said:\nwhat 世界", "", "dog\n"]
    archive = keras.export.ExportArchive()
    archive.track(keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]))
    want = []

    def there_and_back(tokens, said):
        ids = tokens.encode(said)
        return {"ids": ids.to_tensor(-1), "text": tokens.decode(ids)}

    for tokens in (LETTERS, WORDS):
        both = functools.partial(there_and_back, tokens)
        for resource in tokens.resources:
            archive.track(resource)
        archive.add_endpoint(tokens.level, both, [tf.TensorSpec([None], tf.string, "said")])
        out = both(tf.constant(said))
        want.append(f"{tokens.level} {out['ids'].numpy().tolist()} {[s.hex() for s in out['text'].numpy()]}")
    archive.write_out(str(tmp_path / "export"), verbose=False)
    told = [s.encode().hex() for s in said]
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path / "export"), *told], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == want


# The sets.


@pytest.fixture(scope="module")
def python():
    return text.load("python")


def test_the_embedded_text_is_of_this_python_and_of_its_size(python):
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sum(text.PYTHON.values(), ())
    assert len(set(files)) == len(files)  # no file in two splits
    sizes = {part: sum(len((library / f).read_text()) for f in names) for part, names in text.PYTHON.items()}
    assert python.info.counts == sizes
    assert 600_000 < sizes["train"] < 800_000
    assert all(45_000 < sizes[part] < 60_000 for part in ("validation", "test"))
    assert (
        python.preprocess.level == "character"
        and python.info.features["tokens"]["vocabulary_size"] == len(python.preprocess.vocabulary) < 110
    )
    whole = "".join((library / f).read_text() for names in text.PYTHON.values() for f in names)
    assert python.info.details["sha256"] == hashlib.sha256(whole.encode()).hexdigest()


def test_streams_are_the_texts(python, monkeypatch):
    library = Path(sysconfig.get_paths()["stdlib"])
    for part, names in text.PYTHON.items():
        (got,) = python.preprocess.decode(getattr(python, part).features["tokens"][None]).numpy()
        assert got.decode() == "".join((library / f).read_text() for f in names)
    monkeypatch.setattr(text, "CHUNK", 1000)
    again = text.load("python")
    np.testing.assert_array_equal(again.train.features["tokens"], python.train.features["tokens"])


@pytest.mark.parametrize("level", LEVELS)
def test_validation_and_test_do_not_enter_the_vocabulary(tmp_path, level):
    content = {
        "my.train.txt": "ab cd\n" * 9,
        "my.valid.txt": "ab xx\n" * 3,
        "my.test.txt": "ab yy\n" * 3,
    }
    splits = load(tmp_path / "own", content, level=level)
    assert not {"x", "y", "xx", "yy"} & set(splits.preprocess.vocabulary)
    assert splits.info.features["tokens"]["vocabulary_size"] == (4 if level == "word" else 7)
    unknown = splits.preprocess.unknown
    assert [np.sum(getattr(splits, p).features["tokens"] == unknown) for p in ("train", "validation", "test")] == (
        [0, 3, 3] if level == "word" else [0, 6, 6]
    )


def test_the_most_frequent_words_are_the_vocabulary(tmp_path):
    splits = load(tmp_path / "a.txt", "a a a a b b b c c d\n" * 100, level="word", vocabulary_size=4)
    assert splits.preprocess.vocabulary == ("a", "<unk>", "b", "<eos>")  # <unk> is c and d: 3 a line, before b
    assert words_of(splits, "test")[:11] == ["a"] * 4 + ["b"] * 3 + ["<unk>"] * 3 + ["<eos>"]


def test_a_file_is_cut_in_order_at_line_ends(tmp_path):
    lines = [f"line {i} of a text\n" for i in range(1000)]
    splits = load(tmp_path / "a.txt", "".join(lines))
    parts = [
        splits.preprocess.decode(part.features["tokens"][None]).numpy()[0].decode()
        for part in (splits.train, splits.validation, splits.test)
    ]
    assert "".join(parts) == "".join(lines)
    assert all(part.endswith("\n") for part in parts)
    np.testing.assert_allclose([len(part) / len("".join(lines)) for part in parts], [0.9, 0.05, 0.05], atol=2e-3)
    assert splits.info.name == "a.txt" and splits.info.counts["test"] == len(parts[2])


@pytest.mark.parametrize("content", ["word " * 1007, "x" * 1000], ids=["no line ends", "no spaces"])
def test_a_text_of_one_line_is_cut_too(tmp_path, content):
    splits = load(tmp_path / "a.txt", content)
    counts = splits.info.counts
    assert sum(counts.values()) == len(content)
    assert counts["train"] % 5 == counts["test"] % 5 == 0  # no word is cut
    np.testing.assert_allclose([counts[p] / len(content) for p in counts], [0.9, 0.05, 0.05], atol=2e-3)


def test_a_folder_of_any_text_is_one_text(tmp_path):
    content = {
        "b/c.py": "third\n",
        "a.md": "first",  # without a line end
        "b/a.txt": "second " * 100 + "\r\n",
        "latest.txt": "fourth\n" * 20,  # no test split
        "training.txt": "\ufefffifth\rfirst\r\n",  # a training split alone is none
        "picture.png": b"\xff\xff",
        ".git/config.txt": b"\xff\xff",
    }
    splits = load(tmp_path / "own", content)
    parts = [part.features["tokens"] for part in (splits.train, splits.validation, splits.test)]
    (whole,) = splits.preprocess.decode(np.concatenate(parts)[None]).numpy()
    want = ["first\n", "second " * 100, "\n", "third\n", "fourth\n" * 20, "fifth\nfirst\n"]
    assert whole.decode() == "".join(want)
    assert splits.info.name == "own"


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"fine\n" * 40 + b"caf\xe9\n", {}, "a.txt must be text in UTF-8; byte 203, in line 41, is 0xe9"),
        ("", {}, "at least two characters a split; its train has 0"),
        ("a\nb\n", {}, "at least two characters a split; its validation has"),
        (
            "ab " * 200,
            {"level": "words"},
            "level must be one of 'auto', 'character', 'word'; got 'words'. Nearest: 'word'.",
        ),
        ("ab " * 200, {"level": "word", "vocabulary_size": 2}, "vocabulary_size must be a whole number from 3"),
        ({"x.dev.txt": "a\n", "x.test.txt": "a\n"}, {}, "own has x.dev.txt and x.test.txt but no train/."),
        ({"x.png": b"\xff"}, {}, "must have text files"),
    ],
    ids=["latin 1", "empty", "short", "level", "vocabulary", "no train", "no text"],
)
def test_a_text_that_will_not_do_is_one_line(tmp_path, content, options, said):
    with pytest.raises(UserError) as caught:
        load(tmp_path / ("own" if isinstance(content, dict) else "a.txt"), content, **options)
    one_line(caught, said)


def test_an_unknown_text_names_the_nearest():
    with pytest.raises(UserError) as caught:
        text.load("tiny_shakespear")
    one_line(caught, '"tiny_shakespear"; nearest: tiny_shakespeare. Sets: ptb, python, tiny_shakespeare.')


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No data folder but an empty one, and no network."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "answers", lambda host: False)
    return tmp_path / "tfds"


def test_ptb_that_is_nowhere_says_where_it_was_looked_for(nowhere):
    with pytest.raises(UserError) as caught:
        text.load("ptb")
    one_line(caught, f"{nowhere}/downloads/manual/ptb")
    one_line(caught, "ptb.train.txt, ptb.valid.txt, ptb.test.txt")
    one_line(caught, "raw.githubusercontent.com does not answer")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ptb.train.txt", b"some words\n", "must be ptb.train.txt of SHA-256 fcea919f"),
        ("ptb.train.txt.xz", lzma.compress(b"some words\n"), "must be ptb.train.txt of SHA-256 fcea919f"),
        ("ptb.train.txt.xz", lzma.compress(b"some words\n")[:-9], "must be ptb.train.txt compressed with xz"),
    ],
    ids=["text", "compressed", "damaged"],
)
def test_ptb_that_is_another_text_is_refused(nowhere, name, content, said):
    folder = nowhere / "downloads" / "manual" / "ptb"
    folder.mkdir(parents=True)
    for file in ("ptb.valid.txt", "ptb.test.txt"):
        (folder / file).write_text("some words\n")
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        text.load("ptb")
    one_line(caught, f"{folder / name} {said}")
    assert not any(p.is_dir() for p in (nowhere / "ptb").glob("*"))  # nothing half made is left


def test_raw_files_that_are_downloaded_are_kept_once_they_are_proven(nowhere, monkeypatch):
    content = {f"{name}.xz": lzma.compress(name.encode()) for name in ("a.txt", "b.txt")}
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.txt", "b.txt")}
    raw = raw_files.RawFiles("mine", "who", "mine", "https://host/path/", digests, packing=".xz", published=".xz")
    monkeypatch.setattr(prepared, "answers", lambda host: host == "host")
    asked = []

    def download(url, timeout):
        asked.append(url)
        return io.BytesIO(content[url.removeprefix("https://host/path/")])

    monkeypatch.setattr(raw_files.urllib.request, "urlopen", download)
    for _ in range(2):
        assert raw.read(["b.txt", "a.txt"], nowhere) == {"b.txt": b"b.txt", "a.txt": b"a.txt"}
        assert asked == ["https://host/path/b.txt.xz", "https://host/path/a.txt.xz"]
    folder = nowhere / "downloads" / "manual" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt.xz", "b.txt.xz"]
    (folder / "b.txt.xz").unlink()
    content["b.txt.xz"] = lzma.compress(b"another")
    with pytest.raises(UserError, match="who: https://host/path/b.txt.xz must be b.txt of SHA-256") as caught:
        raw.read(["b.txt"], nowhere)
    assert "\n" not in str(caught.value) and [path.name for path in folder.iterdir()] == ["a.txt.xz"]
    with pytest.raises(UserError) as caught:
        monkeypatch.setattr(prepared, "answers", lambda host: False)
        raw.read(["a.txt", "b.txt"], nowhere)
    one_line(caught, f"mine is not prepared, b.txt.xz (or unpacked) is not in {folder}, ")


def raw(name):
    if not (RAW / name).is_dir():
        pytest.skip(f"data: the files of {name} are not in ../shared/data/raw")
    return RAW / name


def unpacked(path):
    return lzma.decompress(path.read_bytes())


@pytest.mark.data
def test_ptb_has_its_words(nowhere):
    shutil.copytree(raw("ptb"), nowhere / "downloads" / "manual" / "ptb")
    splits = text.load("ptb")
    assert splits.info.counts == {"train": 929_589, "validation": 73_760, "test": 82_430}
    vocabulary = splits.preprocess.vocabulary
    assert splits.preprocess.level == "word" and len(vocabulary) == len(set(vocabulary)) == 10_000
    whole = unpacked(RAW / "ptb" / "ptb.train.txt.xz").decode().replace("\n", "<eos>").split()
    assert words_of(splits, "train") == whole
    counts = collections.Counter(whole)
    assert list(vocabulary) == sorted(counts, key=lambda word: (-counts[word], word))
    assert vocabulary[:3] == ("the", "<unk>", "<eos>")
    shutil.rmtree(nowhere / "downloads")  # it is prepared: nothing is looked for again
    again = text.load("ptb")
    np.testing.assert_array_equal(again.test.features["tokens"], splits.test.features["tokens"])


@pytest.mark.data
def test_tiny_shakespeare_has_its_characters(nowhere):
    import tensorflow_datasets as tfds

    folder = nowhere / "downloads" / "manual"
    folder.mkdir(parents=True)
    (folder / "input.txt").write_bytes(unpacked(raw("tiny_shakespeare") / "input.txt.xz"))
    tfds.builder_cls("tiny_shakespeare")(data_dir=nowhere).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=folder)
    )
    info = text.load("tiny_shakespeare").info
    assert info.counts == {"train": 1_003_854, "validation": 55_770, "test": 55_770}
    assert info.features == {"tokens": {"level": "character", "vocabulary_size": 65 + 1}}
    assert info.details["sha256"] == "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
