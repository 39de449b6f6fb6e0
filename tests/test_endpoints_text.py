"""What an export of a language model answers: nothing for nothing, no unknown token, and nothing beyond its bounds."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import export, models
from keras_dl.data import text
from keras_dl.endpoints import text as endpoint
from keras_dl.features.tokens import Tokens

LETTERS = Tokens("character", ("\ufffd", "\n", *"abcdef "))
WORDS = Tokens("word", ("<unk>", "<eos>", "the", "cat", "dog"))
FREE = {"length": 5, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
BUILDERS = {
    "lstm": lambda classes: models.build_lstm((None,), classes, units=(4,)),
    "gru": lambda classes: models.build_gru((None,), classes, units=(4, 3)),
    "transformer_lm": lambda classes: models.build_transformer_lm(
        (None,), classes, num_layers=1, hidden_dim=8, intermediate_dim=8, num_heads=2, max_length=6
    ),
}


def made(kind, tokens=LETTERS):
    """(score, generate) of a small model, as graphs."""
    keras.utils.set_random_seed(0)
    model = BUILDERS[kind](len(tokens.vocabulary))
    endpoints = export.language_model(model, tokens, "a")
    score, generate = (
        tf.function(endpoints[name].function, autograph=False, input_signature=endpoints[name].specs())
        for name in ("score", "generate")
    )
    return score, lambda prime, **scalars: generate(tf.constant(prime, tf.string), *(FREE | scalars).values())["text"]


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("tokens", [LETTERS, WORDS], ids=["character", "word"])
def test_nothing_is_answered_by_nothing(kind, tokens):
    score, generate = made(kind, tokens)
    answer = score(tf.constant([], tf.string))
    assert {len(value) for value in answer.values()} == {0}
    assert generate([]).shape == (0,) and generate([], length=0).shape == (0,)
    blank = score(tf.constant(["", ""]))
    assert blank["tokens"].numpy().tolist() == [0, 0]
    for name in ("log_likelihood", "nats_per_token"):
        assert blank[name].numpy().tolist() == [0.0, 0.0] and not np.signbit(blank[name].numpy()).any()
    assert generate(["", ""], length=0).numpy().tolist() == [b"", b""]
    assert len(generate([""])) == 1


@pytest.mark.parametrize("kind", BUILDERS)
def test_empty_texts_and_bytes_that_are_no_text_change_nothing_beside_them(kind):
    score, _ = made(kind)
    alone = score(tf.constant(["abc"]))["log_likelihood"]
    among = score(tf.constant([b"", b"abc", b" \n ", b"\xff\xfe\x00", b""]))
    np.testing.assert_allclose(among["log_likelihood"][1], alone[0], rtol=1e-5)
    assert np.isfinite(among["nats_per_token"]).all()
    assert among["tokens"].numpy().tolist()[:3] == [0, 3, 3]


def test_line_ends_are_read_alike():
    score, _ = made("lstm")
    answers = score(tf.constant(["a\nb\n", "a\r\nb\r\n", "a\rb\r"]))
    assert answers["tokens"].numpy().tolist() == [4, 4, 4]
    assert len(set(answers["log_likelihood"].numpy().tolist())) == 1


@pytest.mark.parametrize("tokens", [LETTERS, WORDS], ids=["character", "word"])
def test_the_unknown_is_never_drawn(tokens):
    """Of a model that gives it nearly all of the probability."""
    model = BUILDERS["lstm"](len(tokens.vocabulary))
    bias = model.layers[-1].bias
    bias.assign(tf.one_hot(tokens.unknown, len(tokens.vocabulary)) * 50.0)
    generate = endpoint.generator(model, tokens)
    for temperature, top_k, top_p in ((1.0, 0, 1.0), (0.0, 0, 1.0), (1.0, 1, 1.0), (1.0, 0, 0.5), (1e6, 2, 0.5)):
        (answer,) = generate(tf.constant([""]), 30, temperature, top_k, top_p, 0)["text"].numpy()
        assert tokens.vocabulary[tokens.unknown].encode() not in answer and answer


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"length": -1}, "length must not be negative; got -1"),
        ({"length": 2**31 - 1}, "an answer may have at most 8192 tokens"),
        ({"length": 8192}, "prime and length: a text may have at most 8192 tokens"),
        ({"temperature": -0.5}, "temperature must be from 0 to 1,000,000; got -0.5"),
        ({"temperature": np.nan}, "temperature must be from 0 to 1,000,000; got nan"),
        ({"temperature": np.inf}, "temperature must be from 0 to 1,000,000; got inf"),
        ({"top_k": -1}, "top_k must be from 0 to 9; got -1"),
        ({"top_k": 10}, "top_k must be from 0 to 9; got 10"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1; got 0"),
        ({"top_p": -1.0}, "top_p must be above 0 and at most 1; got -1"),
        ({"top_p": 1.01}, "top_p must be above 0 and at most 1; got 1.01"),
        ({"top_p": np.nan}, "top_p must be above 0 and at most 1; got nan"),
    ],
)
def test_numbers_out_of_their_range_are_refused_and_not_wrapped(given, said):
    _, generate = made("lstm")
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(said)):
        generate(["ab"], **given)


def test_the_ends_of_the_ranges_are_answered():
    _, generate = made("lstm")
    for given in ({"temperature": 0.0}, {"temperature": 1e6}, {"top_k": 9}, {"top_p": 1e-6}, {"seed": -(2**31)}):
        assert len(generate(["ab"], **given).numpy()[0]) == 7


def test_a_request_is_bounded_together_by_the_model_s_cost(monkeypatch):
    model = BUILDERS["lstm"](9)
    weights = endpoint.weights_per_token(model, 9)
    monkeypatch.setattr(endpoint, "SCORED", 100 * weights)
    monkeypatch.setattr(endpoint, "GENERATED", 100 * weights)
    score, generate = endpoint.scorer(model, LETTERS), endpoint.generator(model, LETTERS)
    assert len(score(tf.constant(["a" * 25] * 4))["tokens"]) == 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="text: a request may have at most 100 tokens, each text"):
        score(tf.constant(["a" * 26, "b", "", ""]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="text: a text may have at most 100 tokens"):
        score(tf.constant(["a" * 101]))
    assert len(generate(tf.constant(["a", ""]), 49, 1.0, 0, 1.0, 0)["text"]) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="a request may have at most 100 tokens, each text"):
        generate(tf.constant(["a", ""]), 50, 1.0, 0, 1.0, 0)


def test_requests_are_bounded_before_they_are_read():
    score, generate = made("lstm")
    for ask in (lambda texts: score(tf.constant(texts)), generate):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a request may have at most 64 texts"):
            ask(["a"] * 65)
        with pytest.raises(tf.errors.InvalidArgumentError, match="a request may have at most 1048576 bytes"):
            ask(["a" * 2**20, "b"])


def test_a_larger_model_may_be_asked_for_less():
    small, large = (
        endpoint.limits(models.build_lstm((None,), classes, units=units))
        for classes, units in ((100, (64,)), (10_000, (200, 200)))
    )
    for name in ("score", "generate"):
        assert large[name]["tokens_of_all"] < small[name]["tokens_of_all"]
    attends = [
        models.build_transformer_lm((None,), 9, num_layers=n, hidden_dim=64, num_heads=2, max_length=length)
        for n, length in ((1, 8), (1, 64), (2, 64))
    ]
    short, long, deep = (endpoint.limits(model)["generate"] for model in attends)
    assert short == long  # a token goes through the weights once, and once more with half a window, however long
    weights = endpoint.weights_per_token(attends[0], 9)
    assert short["tokens_of_all"] == endpoint.GENERATED // (2 * weights)
    assert deep["tokens"] == short["tokens"] / 2  # the chain of a step's operations is twice as long


# What a sample begins with.


@pytest.mark.parametrize(
    ("content", "level", "wanted"),
    [
        ("def a\n  return 1\ndef b\n  return 2\nclass c\n" * 9, "character", "def "),
        ("吾輩は猫である。名前はまだ無い。\n" * 30 + "どこで生れたか\n" * 9, "character", "吾輩は猫である。名前はま"),
        ("the cat\nthe dog\na cat\n" * 30, "word", "the "),
        (" indented\n" * 30, "character", ""),
    ],
)  # fmt: skip
def test_a_sample_begins_as_the_text_does(content, level, wanted, tmp_path):
    (tmp_path / "a.txt").write_text(content)
    splits = text.load(str(tmp_path / "a.txt"), level=level)
    assert text.beginning(splits) == wanted
    assert not splits.preprocess.unknowns(wanted)
