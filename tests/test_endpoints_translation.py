"""What an export that translates answers: as Python does, by the model's probabilities, whatever is asked beside it."""

import functools
import shlex

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_export as exports

from keras_dl import __main__ as command
from keras_dl import cards, export, fresh_process, models, runs
from keras_dl.endpoints import translation
from keras_dl.endpoints.translation import BEYOND, BOS, EOS, MOST_BYTES, MOST_SENTENCES, MOST_TOKENS, PAD, UNK
from keras_dl.errors import Refused
from keras_dl.features.subwords import SPECIAL, WORD, Subwords

pytestmark = pytest.mark.usefixtures("loaded_once")

SUBWORDS = Subwords((*SPECIAL, "he", "en", f"{WORD}a", WORD, *"abcdefghijklmnopqrstuvwxyz"))
V = len(SUBWORDS.pieces)
WIDTH = 3
SMALL = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16, "num_heads": 2, "tied": False}
# {builder's name: (a tiny model, seed and standard deviation of weights that make translations unlike each other)}
BUILDERS = {
    "transformer": (lambda: models.build_transformer(V, **SMALL), 7, 1.4),
    "attention_seq2seq": (
        lambda: models.build_attention_seq2seq(V, V, units=8, embedding_dim=6, attention_units=5, output_units=4),
        0,
        1.5,
    ),
    "seq2seq": (lambda: models.build_seq2seq(V, V, units=(8, 8), embedding_dim=6), 2, 2.0),
}
KINDS = ["transformer", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("attention_seq2seq", "seq2seq"))]
FREE = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
EXAMPLE = (["a dog", "he hen"], ["ein hund", "b"])


def sentences(n, seed=0):
    """Some are empty, some have characters that are no pieces."""
    rng = np.random.default_rng(seed)
    return np.array(["".join(rng.choice([*"abcde hen ?"], rng.integers(0, 20))).encode() for _ in range(n)], object)


class Made:
    """A tiny model, its Python functions and its export."""

    def __init__(self, kind, root):
        build, seed, std = BUILDERS[kind]
        keras.utils.set_random_seed(seed)
        self.kind, self.root, self.model = kind, root, build()
        rng = np.random.default_rng(seed)
        for weight in self.model.trainable_weights:
            if len(weight.shape) > 1:
                weight.assign(rng.normal(0, std, weight.shape))
        self.endpoints = export.translation(self.model, SUBWORDS, EXAMPLE, width=WIDTH)
        self.python = tf.function(
            translation.translator(self.model, SUBWORDS, WIDTH), autograph=False,
            input_signature=self.endpoints["translate"].specs(),
        )  # fmt: skip
        self.logits = tf.function(
            lambda source, target: self.model({"source": source, "target": target}, training=False),
            input_signature=[tf.TensorSpec((None, None), tf.int32)] * 2,
        )

    @functools.cached_property
    def folder(self):
        keep = ("serving_default", "sample", "score") if self.kind == "transformer" else ("serving_default",)
        run = runs.Run(path=self.root / self.kind, root=self.root, name=self.kind, app="translate")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fresh_process, "answers", exports.answers_in_this_process)
            return export.save(
                self.model, run, endpoints={name: self.endpoints[name] for name in keep},
                metrics={"nats": 1.0},
            )  # fmt: skip

    @functools.cached_property
    def exported(self):
        return export.load(self.folder)

    @functools.cached_property
    def served(self):
        """Answers as an export does, without being written: that takes three times as long."""
        return exports.served_in_this_process(self.endpoints)

    def translate(self, source, length_penalty=0.6):
        return self.served.call(source=np.array(source, object), length_penalty=length_penalty)

    def sample(self, source, **scalars):
        scalars = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0, **scalars}
        return self.served.call("sample", source=np.array(source, object), **scalars)

    def log_probability(self, source, tokens):
        """Of one target's tokens as the model alone has it, of a sentence without padding."""
        logits = self.logits(SUBWORDS.sources([source]), [[translation.BOS, *tokens[:-1]]])[0]
        return float(np.take_along_axis(tf.nn.log_softmax(logits).numpy(), np.array(tokens)[:, None], 1).sum())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Function of a builder's name -> Made, each made once."""
    root, there = tmp_path_factory.mktemp("made"), {}
    return lambda kind: there[kind] if kind in there else there.setdefault(kind, Made(kind, root))


def ids(strings):
    return [SUBWORDS.pieces.index(token.decode()) for token in strings if token]


def cut(answer, row):
    """(source tokens, target tokens, alignment) of a sentence, without what is there for longer ones."""
    source, target = (ids(answer[f"{side}_tokens"][row]) for side in ("source", "target"))
    return source, target, answer["alignment"][row][: len(target), : len(source)]


# translate


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "attention_seq2seq", "seq2seq"])
def test_the_exported_translate_is_the_python_one(made, kind):
    one, source = made(kind), sentences(100)
    found = set()
    for texts in source[:MOST_SENTENCES], source[MOST_SENTENCES:]:
        served, wanted = one.exported.call(source=texts, length_penalty=0.6), one.python(tf.constant(texts), 0.6)
        assert set(served) == set(wanted) and ("alignment" in served) == (kind != "seq2seq")
        for name, value in wanted.items():
            if value.dtype == tf.string:
                np.testing.assert_array_equal(served[name], value)
            else:
                np.testing.assert_allclose(served[name], value, rtol=1e-5, atol=1e-5)
        found |= set(served["translation"])
    assert len(found) > 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_translation_has_the_probability_that_the_model_gives_it(made, kind):
    one, source = made(kind), sentences(12, seed=1)
    answer = one.translate(source, 1.0)
    for row, text in enumerate(source):
        tokens = ids(answer["target_tokens"][row])
        assert 1 <= len(tokens) <= len(SUBWORDS.sources([text])[0]) + BEYOND and EOS not in tokens[:-1]
        assert SUBWORDS.decode([tokens]).numpy()[0] == answer["translation"][row] == answer["translations"][row, 0]
        wanted = one.log_probability(text, tokens)
        assert answer["log_probability"][row] == pytest.approx(wanted, rel=1e-4, abs=1e-3)
        assert answer["score"][row] == pytest.approx(wanted / ((5 + len(tokens)) / 6), rel=1e-4, abs=1e-3)
    np.testing.assert_array_equal(answer["scores"][:, 0], answer["score"])
    np.testing.assert_array_equal(answer["log_probabilities"][:, 0], answer["log_probability"])
    assert answer["scores"].shape == (12, WIDTH) == answer["translations"].shape
    assert np.mean([len(set(row)) for row in answer["translations"]]) > 1.5  # n-best, not one n times


@pytest.mark.parametrize("kind", KINDS[:2])
def test_the_alignment_is_that_of_the_sentence_alone_and_nothing_on_padding(made, kind):
    one, source = made(kind), sentences(6, seed=2)
    answer, aligned = one.translate(source), one.model.with_alignment()
    for row, text in enumerate(source):
        encoded, target, alignment = cut(answer, row)
        assert encoded == SUBWORDS.sources([text]).numpy()[0].tolist() and encoded[-1] == EOS
        shown = aligned({"source": np.array([encoded]), "target": np.array([[translation.BOS, *target[:-1]]])})
        np.testing.assert_allclose(alignment, shown["alignment"][0], atol=1e-5)
        np.testing.assert_allclose(alignment.sum(1), 1, atol=1e-5)
        assert answer["alignment"][row].sum() == pytest.approx(len(target), abs=1e-3)  # the rest is 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_is_translated_alike_alone_and_among_others(made, kind):
    one, source = made(kind), sentences(8, seed=3)
    together = one.translate(source)
    for row in (0, 5):
        alone = one.translate(source[row : row + 1])
        assert alone["translations"][0].tolist() == together["translations"][row].tolist()
        np.testing.assert_allclose(alone["scores"][0], together["scores"][row], rtol=1e-4, atol=1e-4)
        assert ids(alone["target_tokens"][0]) == ids(together["target_tokens"][row])


def test_width_1_and_a_sample_at_temperature_0_are_the_greedy_choice(made):
    one, source = made("transformer"), sentences(4, seed=4)
    translate = translation.translator(one.model, SUBWORDS, 1)
    answer = tf.function(translate, autograph=False)(tf.constant(source), tf.constant(0.0))
    assert answer["translations"].shape == (4, 1)
    for row, text in enumerate(source):
        encoded, tokens = SUBWORDS.sources([text]), []
        while EOS not in tokens and len(tokens) < encoded.shape[1] + BEYOND:
            tokens.append(int(np.argmax(one.logits(encoded, [[translation.BOS, *tokens]])[0, -1])))
        assert ids(answer["target_tokens"].numpy()[row]) == tokens
    cold = one.sample(source, temperature=0.0)
    assert cold["translation"].tolist() == answer["translation"].numpy().tolist()
    np.testing.assert_allclose(cold["log_probability"], answer["log_probability"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_none_and_an_empty_sentence_are_answered(made, kind):
    one = made(kind)
    answer = one.translate([])
    assert {len(value) for value in answer.values()} == {0} and answer["translations"].shape == (0, WIDTH)
    answer = one.translate(["", " "])
    assert ids(answer["source_tokens"][0]) == [EOS] == ids(answer["source_tokens"][1])
    assert np.isfinite(answer["scores"]).all()


def test_no_sentences_are_drawn_and_scored(made):
    one, none = made("transformer"), np.array([], object)
    assert {len(value) for value in one.sample(none).values()} == {0}
    assert {len(value) for value in one.served.call("score", source=none, target=none).values()} == {0}


# sample


def test_a_sample_is_drawn_by_its_seed(made):
    one, source = made("transformer"), sentences(8, seed=5)
    first, same, other = (one.sample(source, seed=seed)["translation"].tolist() for seed in (1, 1, 2))
    assert first == same != other and len(set(first)) > 4


class Endless:
    """A model that writes "b" for ever: its logit is 9, the end's -9, all others' are 0."""

    output_shape = (None, None, V)
    trainable_weights = models.build_seq2seq(V, V, units=(2,), embedding_dim=2).trainable_weights  # by which it costs

    def begin(self, source):
        return (), tf.zeros([tf.shape(source)[0], 1])

    def step(self, tokens, state, memory):
        logits = 9 * tf.one_hot(SUBWORDS.pieces.index("b"), V) - 9 * tf.one_hot(EOS, V)
        return tf.tile(logits[None], [tf.shape(tokens)[0], 1]), state


def test_how_long_a_translation_gets_depends_on_its_source_alone():
    source, limits = tf.constant(["bbb", "b"]), [5 + BEYOND, 3 + BEYOND]  # with the begin of a word and the end
    answer = translation.sampler(Endless(), SUBWORDS)(source, 0.0, 0, 1.0, 0)
    assert [len(text) for text in answer["translation"].numpy()] == limits
    nats = -float(tf.nn.log_softmax(tf.constant([9.0, -9.0] + [0.0] * (V - 2)))[0])
    np.testing.assert_allclose(-answer["log_probability"], np.array(limits) * nats, rtol=1e-3)
    answer = translation.translator(Endless(), SUBWORDS, 2)(source, 0.0)
    assert [len(text) for text in answer["translation"].numpy()] == limits
    assert [len(ids(row)) for row in answer["target_tokens"].numpy()] == limits


# score


def test_the_score_is_the_log_probability_of_the_target_and_its_end(made):
    one = made("transformer")
    source, target = sentences(9, seed=6), sentences(9, seed=7)
    target[0] = b""
    answer = one.served.call("score", source=source, target=target)
    tokens = [[*SUBWORDS.encode([text]).to_list()[0], EOS] for text in target]
    wanted = [one.log_probability(text, token) for text, token in zip(source, tokens, strict=True)]
    np.testing.assert_allclose(answer["log_likelihood"], wanted, rtol=1e-4)
    assert answer["tokens"].tolist() == [len(token) for token in tokens] and answer["tokens"][0] == 1
    np.testing.assert_allclose(answer["nats_per_token"] * answer["tokens"], -answer["log_likelihood"], rtol=1e-5)


# Its bounds


def test_a_translation_never_has_padding_a_begin_or_the_unknown():
    class Wrong(Endless):
        """The three are far more probable than all else, and the end is the least so."""

        def step(self, tokens, state, memory):
            logits = 9 * tf.reduce_sum(tf.one_hot([PAD, BOS, UNK], V), 0) - 9 * tf.one_hot(EOS, V)
            return tf.tile(logits[None], [tf.shape(tokens)[0], 1]), state

    source = tf.constant(["b"] * 5)
    for answer in (
        translation.sampler(Wrong(), SUBWORDS)(source, 1.0, 0, 1.0, 0)["translation"].numpy(),
        translation.translator(Wrong(), SUBWORDS, 3)(source, 0.6)["translations"].numpy().flatten(),
    ):
        assert all(len(text) > 40 for text in answer) and not any(b"\xef\xbf\xbd" in text for text in answer)


def test_a_request_s_sentences_are_bounded_together_by_the_model_s_cost(monkeypatch):
    small = translation.limits(BUILDERS["transformer"][0](), 5)
    assert all(most["tokens"] == MOST_TOKENS for most in small.values())
    large = translation.limits(models.build_transformer(8000, num_layers=1, hidden_dim=128, num_heads=2), 5)
    wider = translation.limits(models.build_transformer(8000, num_layers=1, hidden_dim=128, num_heads=2), 10)
    assert large["translate"]["tokens_of_all"] < small["translate"]["tokens_of_all"]
    assert wider["translate"]["tokens_of_all"] == pytest.approx(large["translate"]["tokens_of_all"] / 2, abs=1)
    assert wider["sample"] == large["sample"] and wider["score"] == large["score"]

    weights = translation.weights_per_token(Endless, V)
    monkeypatch.setattr(translation, "TRANSLATED", 300 * weights * 2)
    translate = translation.translator(Endless(), SUBWORDS, 2)
    fits = tf.constant(["b" * 8] * 5)  # 10 tokens and 50 more, 5 times
    assert len(translate(fits, 0.0)["translation"]) == 5
    with pytest.raises(tf.errors.InvalidArgumentError, match="request may have at most 300 tokens, each sentence cou"):
        translate(tf.constant(["b" * 9] * 5), 0.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a sentence may have at most 250 tokens"):
        translate(tf.constant(["b" * 250]), 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_requests_hold_every_sentence_once_and_keep_to_the_bounds(seed):
    lengths = np.random.default_rng(seed).integers(1, 400, 200)
    most = {"sentences": 16, "tokens": 512, "tokens_of_all": 3000}
    rows = translation.requests(lengths, most)
    assert sorted(np.concatenate(rows)) == list(range(200))
    assert all(len(r) <= 16 and len(r) * (lengths[r].max() + BEYOND) <= 3000 for r in rows)
    assert len(rows) < 60  # and they are filled
    assert translation.requests(lengths[:0], most) == []


def test_a_request_is_bounded(made):
    one = made("transformer")
    call = one.served.call
    many = sentences(MOST_SENTENCES + 1)
    long = np.array(["a " * MOST_TOKENS], object)  # a token each, and the end
    heavy = np.array(["b", "x" * (MOST_BYTES + 1)], object)
    fits = np.array(["a " * (MOST_TOKENS - 1), "b"], object)
    for text, complaint in (
        (many, f"a request may have at most {MOST_SENTENCES} sentences"),
        (long, f"a sentence may have at most {MOST_TOKENS} tokens"),
        (heavy, f"a sentence may have at most {MOST_BYTES} bytes"),
    ):
        with pytest.raises(Refused, match=f"source: {complaint}"):
            one.translate(text)
        with pytest.raises(Refused, match=f"source: {complaint}"):
            one.sample(text)
        with pytest.raises(Refused, match=f"source: {complaint}"):
            call("score", source=text, target=text)
        with pytest.raises(Refused, match=f"target: {complaint}"):
            call("score", source=many[: len(text) if len(text) < 9 else MOST_SENTENCES], target=text)
    assert call("score", source=fits, target=fits)["tokens"].tolist() == [MOST_TOKENS, 3]


@pytest.mark.parametrize(
    ("endpoint", "given", "complaint"),
    [
        ("serving_default", {"length_penalty": -0.1}, "length_penalty must be from 0 to 10; got -0.1"),
        ("serving_default", {"length_penalty": np.nan}, "length_penalty must be from 0 to 10; got nan"),
        ("serving_default", {"length_penalty": 1000.0}, "length_penalty must be from 0 to 10; got 1000"),
        ("sample", {**FREE, "temperature": -1.0}, "temperature must be from 0 to 1,000,000; got -1"),
        ("sample", {**FREE, "temperature": np.inf}, "temperature must be from 0 to 1,000,000; got inf"),
        ("sample", {**FREE, "top_k": -1}, f"top_k must be from 0 to {V}; got -1"),
        ("sample", {**FREE, "top_k": V + 1}, f"top_k must be from 0 to {V}; got {V + 1}"),
        ("sample", {**FREE, "top_p": 0.0}, "top_p must be above 0 and at most 1; got 0"),
        ("sample", {**FREE, "top_p": 1.5}, "top_p must be above 0 and at most 1; got 1.5"),
        ("sample", {**FREE, "top_p": np.nan}, "top_p must be above 0 and at most 1; got nan"),
        ("score", {"target": ["a"]}, "source and target must have as many sentences as each other"),
    ],
)
def test_what_does_not_fit_is_refused(made, endpoint, given, complaint):
    with pytest.raises(Refused, match=complaint):
        made("transformer").served.call(endpoint, source=["a", "b"], **given)


# The export


@pytest.mark.slow
def test_the_card_says_how_to_call_it(made, capsys, monkeypatch):
    one = made("transformer")
    loaded = one.exported._loaded
    monkeypatch.setattr(tf.saved_model, "load", lambda folder: loaded)  # once more, it takes long
    card = cards.read(one.folder)
    inputs = card["endpoints"]["serving_default"]["inputs"]
    assert inputs["source"]["kind"] == "sentence" and inputs["length_penalty"]["default"] == 0.6
    names = {}
    exec(card["call"]["python"], names)
    words = shlex.split(card["call"]["predict"])
    command.main(words[3:])
    header, row = capsys.readouterr().out.splitlines()
    assert header.split("\t") == ["input", "translation", "score", "log_probability"]
    assert row.split("\t")[:2] == ["a sentence", names["answer"]["translation"].numpy()[0].decode()]
    body = card["call"]["rest"]["body"]
    assert body["inputs"] == {"source": ["a sentence"], "length_penalty": 0.6}
    command.main(["show", str(one.folder)])
    shown = capsys.readouterr().out
    assert "# Endpoint score" in shown and "input\ttarget\tstring (any)\tsentence_target\n" in shown


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "attention_seq2seq"])
def test_a_fresh_process_with_tensorflow_alone_answers_alike(made, tmp_path, kind):
    one = made(kind)
    run = runs.Run(path=tmp_path / "run", root=tmp_path, name=kind, app="translate")
    folder = export.save(one.model, run, endpoints=one.endpoints, metrics={})
    assert list(cards.read(folder)["endpoints"]) == ["serving_default", "translate", "sample", "score"]
