"""Laws of sub-words: the ids are SentencePiece's, the same everywhere, and text comes back from them."""

import functools
import gzip
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data
from keras_dl.errors import UserError
from keras_dl.features import subwords
from keras_dl.features.subwords import BOS, EOS, PAD, SPECIAL, UNK, Subwords

RAW = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw" / "multi30k"
# Ranks that are not in the order of length: "aba" before "ab", the inner "lo" before what leads to "▁low". A character
# that others join is the first, and a piece would join words if they were not apart.
PIECES = [
    "b", "b▁", "aba", "ab", "lo", "aa", "▁lo", "low", "▁low", "▁a", "er", "▁lower", "ba", "bb", "<<", "▁",
    *"alower</s>",
]  # fmt: skip
HAND = Subwords((*SPECIAL, *PIECES))
CORPUS = [
    "hello world, hello there <s> <s> <s>", "low lower lowest 12 1212 aaa aaaa abab aba", "größe ß u\u0308 \U0001f600",
    "<unk> <unk> <unk> <pad> x\0y no-\u00a0break ▅ tab\tand\n\nlines", "日本語 日本 本語", "\ufeff one two  three",
]  # fmt: skip
ODD = "▁\u2585☃日本\u0308\U0001f600\u00a0\u2028\u3000\t\n\r\v\f\0\x1c\x85\ufeff\ufffd"


@pytest.fixture(scope="module")
def sentencepiece():
    return pytest.importorskip("sentencepiece", reason="extra [translation] is not installed")


@pytest.fixture(scope="module")
def learnt(sentencepiece):
    """(SentencePiece's processor, Subwords) of CORPUS."""
    return subwords._learnt(CORPUS, 120), Subwords.learn(CORPUS, 120)


def normal(text):
    return re.sub("[ \t\n\v\f\r▁]+", " ", text).strip(" ")


def by_hand(pieces, text):
    """Byte pair encoding by its definition: of all neighbours that make a piece, the least id, the first of equals."""
    ids, made = {piece: i for i, piece in enumerate(pieces) if i > UNK}, []
    for word in normal(text).split(" ") if normal(text) else []:
        symbols = list("▁" + word)
        while True:
            joined = [
                (ids[a + b], i) for i, (a, b) in enumerate(zip(symbols, symbols[1:], strict=False)) if a + b in ids
            ]
            if not joined:
                break
            _, at = min(joined)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        for symbol in symbols:
            if symbol in ids or made[-1:] != [UNK]:
                made.append(ids.get(symbol, UNK))
    return made


def drawn(alphabet, count, longest, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices(alphabet, k=rng.randrange(longest))) for _ in range(count)]


def one_line(caught, said):
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value


# Ids.


def test_merges_are_the_definitions():
    texts = drawn("aaaabbblowerr<s> x▁", 3000, 30)
    assert HAND.encode(texts).to_list() == [by_hand(HAND.pieces, text) for text in texts]


def test_ids_are_sentencepieces(learnt):
    processor, made = learnt
    assert list(made.pieces[4:]) == [processor.id_to_piece(i) for i in range(4, processor.get_piece_size())]
    texts = drawn("helowr dtas123 <>/nukb" + " " * 5 + "a" * 4 + ODD, 6000, 60) + CORPUS
    want = processor.encode([normal(text) for text in texts], out_type=int)
    assert made.encode(texts).to_list() == want
    plain = [text for text in texts if text == normal(text)]  # of these the raw text goes in
    assert len(plain) > 500 and made.encode(plain).to_list() == processor.encode(plain, out_type=int)


@pytest.mark.data
@pytest.mark.parametrize("language", ["en", "de"])
def test_ids_of_multi30k_are_sentencepieces(sentencepiece, language):
    if not RAW.is_dir():
        pytest.skip("data: the files of multi30k are not in ../shared/data/raw")

    def lines(split, language):
        return gzip.open(RAW / f"{split}.{language}.gz", "rt", encoding="utf-8").read().split("\n")[:-1]

    train = lines("train", "en") + lines("train", "de")
    processor = subwords._learnt(train, 10_000)
    made = Subwords((*SPECIAL, *(processor.id_to_piece(i) for i in range(4, processor.get_piece_size()))))
    assert len(made.pieces) == 10_000
    texts = [normal(text) for text in lines("test_2016_flickr", language)]
    ids = made.encode(texts)
    assert ids.nrows() == 1000 and ids.to_list() == processor.encode(texts, out_type=int)
    assert made.decode(ids).numpy().tolist() == [text.encode() for text in texts]


def test_ids_by_hand():
    piece = HAND.pieces.index
    ids = HAND.encode(["lower ab", "aba", "", " \t▁\n", "xx☃ a☃x", b"a\xff\xfea", "</s>"])
    assert ids.dtype == tf.int32
    assert ids.to_list() == [
        [piece("▁lower"), piece("▁"), piece("ab")],  # ab goes before ▁a
        [piece("▁"), piece("aba")],
        [],
        [],  # white space alone
        [piece("▁"), UNK, piece("▁a"), UNK],  # one of neighbours
        [piece("▁a"), UNK, piece("a")],  # no UTF-8
        [piece("▁"), *map(piece, "</s>")],  # text, not the end
    ]


def test_a_batch_of_nothing_has_no_ids():
    for texts in ([], [""], ["", ""]):
        assert HAND.encode(texts).to_list() == [[]] * len(texts)
        assert HAND.decode(HAND.encode(texts)).numpy().tolist() == [b""] * len(texts)


def test_a_text_is_cut_the_same_beside_any_others():
    texts = drawn("aaabblower  x", 50, 20)
    together = HAND.encode(texts).to_list()
    assert [HAND.encode([text]).to_list()[0] for text in texts] == together


# Text.


def test_text_comes_back(learnt):
    _, made = learnt
    known = "".join(piece for piece in made.pieces[4:] if len(piece) == 1)
    texts = [*drawn(known + "   ▁\t\n\v", 300, 40), *CORPUS[:3]]
    want = [normal(text).encode() for text in texts]
    ids = made.encode(texts)
    assert made.decode(ids).numpy().tolist() == want
    assert made.decode(ids.to_tensor(PAD)).numpy().tolist() == want
    assert made.decode(made.sources(texts)).numpy().tolist() == want
    assert made.decode(made.targets(texts)[0]).numpy().tolist() == want  # after <s>
    assert made.encode(want).to_list() == ids.to_list()


def test_text_ends_at_the_first_end():
    low, a, word = map(HAND.pieces.index, ("▁low", "a", "▁"))
    ids = [
        [BOS, low, PAD, a, EOS, a],
        [UNK, a, low, low, EOS, EOS],
        [word, word, a, word, low, word],
        [EOS, *[low] * 5],
    ]
    want = ["lowa", "\ufffda low low", "a low", ""]
    for made in (HAND.decode(np.array(ids, np.int32)), HAND.decode(tf.ragged.constant(ids, dtype=tf.int32))):
        assert [text.decode() for text in made.numpy()] == want
    ragged = tf.ragged.constant([[low], [], [a, EOS, a]], dtype=tf.int32)
    assert HAND.decode(ragged).numpy().tolist() == [b"low", b"", b"a"]


def test_pieces_are_shown():
    ids = HAND.sources(["low x"])
    assert HAND.strings(ids).numpy().tolist() == [[s.encode() for s in ("▁low", "▁", "<unk>", "</s>")]]
    assert HAND.strings(HAND.encode(["low", ""])).to_list() == [["▁low".encode()], []]


# Batches.


def test_a_batch_by_hand():
    raw = {
        "source": tf.ragged.constant([[7, 8, 9], [7]], dtype=tf.int32),
        "target": tf.ragged.constant([[5], [4, 6]], dtype=tf.int32),
        "source_text": tf.constant(["no", "matter"]),
    }
    x, y, w = HAND.batch(raw)
    assert set(x) == {"source", "target"}
    assert x["source"].numpy().tolist() == [[7, 8, 9, EOS], [7, EOS, PAD, PAD]]
    assert x["target"].numpy().tolist() == [[BOS, 5, PAD], [BOS, 4, 6]]
    assert y.numpy().tolist() == [[5, EOS, PAD], [4, 6, EOS]]
    assert w.numpy().tolist() == [[1, 1, 0], [1, 1, 1]]
    assert x["source"].dtype == x["target"].dtype == y.dtype == tf.int32 and w.dtype == tf.float32


def test_what_a_request_is_cut_into_is_what_is_trained_on():
    sources, targets = ["low er", "", "ab"], ["a", "lower lower", ""]
    x, y, w = HAND.batch({"source": HAND.encode(sources), "target": HAND.encode(targets)})
    np.testing.assert_array_equal(HAND.sources(sources), x["source"])
    for made, want in zip(HAND.targets(targets), (x["target"], y, w), strict=True):
        np.testing.assert_array_equal(made, want)
    assert y.numpy()[2].tolist()[0] == EOS and w.numpy()[2].sum() == 1  # an empty sentence still ends


def test_a_pipeline_gives_batches():
    sides = {
        name: data.Ragged.of([np.arange(4, 4 + n, dtype=np.int32) for n in (1, 3, 2)]) for name in ("source", "target")
    }
    text = np.array([b"a", b"b", b"c"], object)
    pipeline = data.batches(data.Examples(sides | {"source_text": text}), 2, collate=HAND.batch).dataset()
    (x, y, w), _ = pipeline
    assert x["source"].numpy().tolist() == [[4, EOS, PAD, PAD], [4, 5, 6, EOS]] == y.numpy().tolist()
    assert w.numpy().sum() == 6
    x, y, w = pipeline.element_spec
    assert [t.shape.as_list() for t in (x["source"], x["target"], y, w)] == [[None, None]] * 4
    assert [t.dtype for t in (x["source"], x["target"], y, w)] == [tf.int32] * 3 + [tf.float32]


# One function everywhere.

SAID = ["lower aba", "", "xx low\n<s> ab☃"]


def test_a_graph_a_pipeline_and_a_rebuilt_object_give_the_same_ids():
    want = HAND.encode(SAID).to_list()
    config = HAND.config()
    assert config["kind"] == "subwords" and HAND.resources == ()

    def again():  # nothing cached yet: made within the graph
        return Subwords(tuple(config["pieces"]))

    assert again() == HAND
    assert tf.function(again().encode, input_signature=[tf.TensorSpec([None], tf.string)])(SAID).to_list() == want
    (inside,) = tf.data.Dataset.from_tensors(SAID).map(again().encode)
    assert inside.to_list() == want
    (back,) = tf.data.Dataset.from_tensors(SAID).map(lambda texts: again().decode(again().sources(texts)))
    assert [text.decode() for text in back.numpy()] == ["lower aba", "", "\ufffd low <s> ab\ufffd"]


RELOAD = """
import sys
sys.modules["keras_dl"] = None
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
out = loaded.signatures["there_and_back"](tf.constant([bytes.fromhex(h) for h in sys.argv[2:]]))
print(out["ids"].numpy().tolist(), [s.hex() for s in out["text"].numpy()])
"""


@pytest.mark.slow
def test_a_reloaded_export_gives_the_same_ids_and_text(tmp_path):
    import keras

    def there_and_back(made, said):
        ids = made.sources(said)
        return {"ids": ids, "text": made.decode(ids)}

    archive = keras.export.ExportArchive()
    archive.track(keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]))
    both = functools.partial(there_and_back, HAND)
    archive.add_endpoint("there_and_back", both, [tf.TensorSpec([None], tf.string, "said")])
    archive.write_out(str(tmp_path / "export"), verbose=False)
    told = [text.encode().hex() for text in SAID]
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path / "export"), *told], capture_output=True, text=True, check=True
    )
    out = both(tf.constant(SAID))
    assert done.stdout.splitlines() == [f"{out['ids'].numpy().tolist()} {[s.hex() for s in out['text'].numpy()]}"]


@pytest.mark.parametrize(
    "pieces",
    [("▁", "a"), (*SPECIAL, "▁", "a", "a"), (*SPECIAL, "▁", ""), (*SPECIAL, "a")],
    ids=["no special", "twice", "empty", "no begin"],
)
def test_pieces_that_cannot_be_are_refused(pieces):
    with pytest.raises(ValueError, match="Subwords: pieces must begin with <pad>, <s>, </s>, <unk>; the others must"):
        Subwords(pieces)


# Learning.


def test_learning_is_a_function_of_the_texts(learnt):
    _, made = learnt
    assert Subwords.learn(iter(CORPUS), 120) == made == Subwords.learn([text.encode() for text in CORPUS], 120)
    assert Subwords.learn([f" {text}\t ".replace(" ", "\n ▁") for text in CORPUS], 120) == made
    assert made.pieces[:4] == ("<pad>", "<s>", "</s>", "<unk>") and len(made.pieces) == 120


def test_the_vocabulary_is_as_large_as_asked_or_as_can_be(sentencepiece):
    sizes = {asked: Subwords.learn(CORPUS[:2], asked) for asked in (30, 40, 10_000)}
    assert [len(sizes[asked].pieces) for asked in (30, 40)] == [30, 40]
    most = sizes[10_000]
    assert 40 < len(most.pieces) < 200 and "▁lowest" in most.pieces
    single = [piece for piece in most.pieces[4:] if len(piece) == 1]
    assert set(single) == set("".join(CORPUS[:2])) - {" "} | {"▁"} and most.pieces[-len(single) :] == tuple(single)
    assert sizes[40].pieces[:20] == most.pieces[:20]  # by rank
    assert not any(re.search("[0-9]", piece) for piece in most.pieces if len(piece) > 1)  # digits stay apart


def test_every_character_of_the_texts_is_a_piece(learnt):
    _, made = learnt
    assert set("".join(CORPUS)) - set("\0▅\t\n ") == {piece for piece in made.pieces[4:] if len(piece) == 1} - {"▁"}
    long = "x" + " y" * 3000 + " zq"  # SentencePiece by itself leaves out lines of 4192 bytes
    assert {"▁x", "▁y", "▁zq"} & set(Subwords.learn([long, "o"], 12).pieces) and "q" in Subwords.learn([long], 9).pieces


def test_names_of_special_pieces_are_plain_text(sentencepiece):
    made = Subwords.learn(["<s> <s> <unk> <unk> </s>"] * 9, 10_000)
    ids = made.encode(["<s> <unk></s>"])
    assert not {BOS, EOS, PAD, UNK} & set(ids.to_list()[0])
    assert made.decode(ids).numpy().tolist() == [b"<s> <unk></s>"]


@pytest.mark.parametrize(
    ("texts", "size", "said"),
    [
        (
            ["hello world"],
            11,
            "vocabulary_size must be at least 12 (4 special tokens, the begin of a word and the text's 7",
        ),
        (["hello world"], -1, "must be at least 12"),
        ([], 100, "there must be text to learn sub-words from; got none"),
        (["", " \t▁"], 100, "there must be text to learn sub-words from; got none"),
    ],
)
def test_texts_that_cannot_be_learnt_are_one_line(sentencepiece, texts, size, said):
    with pytest.raises(UserError) as caught:
        Subwords.learn(texts, size)
    one_line(caught, said)


def test_the_least_vocabulary_is_characters(sentencepiece):
    assert set(Subwords.learn(["hello world"], 12).pieces[4:]) == set("▁helowrd")


def test_without_sentencepiece_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UserError) as caught:
        Subwords.learn(["hello"], 100)
    one_line(caught, "needs sentencepiece: pip install 'keras_dl[translation]'")
