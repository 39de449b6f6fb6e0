"""Scores of translations: what sacrebleu says, what can be counted by hand, and by length."""

import importlib.util

import numpy as np
import pytest

from keras_dl import bootstrap, errors, scores

sacrebleu = pytest.importorskip("sacrebleu", reason="extra [translation] is not installed")

WORDS = ("a", "dog", "runs", "in", "the", "park", "and", "two", "men", "look", "at", "it", ".")


def translations(count=60, seed=0):
    """(hypotheses, references, lengths): each word of a reference is another one in a tenth of the cases."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 20, count)
    references = [rng.choice(WORDS, n) for n in lengths]
    hypotheses = [np.where(rng.random(len(r)) < 0.1, rng.choice(WORDS, len(r)), r) for r in references]
    return [" ".join(h) for h in hypotheses], [" ".join(r) for r in references], lengths


@pytest.mark.parametrize(
    ("hypothesis", "reference", "bleu"),
    [
        ("a b c d e", "a b c d e", 100),
        ("a b c d e", "a b c d f", 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
        ("a b c d", "a b c d e", 100 * np.exp(1 - 5 / 4)),  # all of it is right, and too short
        ("a b c d e e", "a b c d e", 100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25),  # a word counts once
    ],
)
def test_bleu_counted_by_hand(hypothesis, reference, bleu):
    """Papineni et al. 2002: the geometric mean of the shares of 1- to 4-grams, times exp(1 - r / c) if too short."""
    assert scores.of_translations([hypothesis], [reference])["bleu"] == pytest.approx(bleu)


def test_bleu_of_a_corpus_adds_the_counts_up_before_it_divides():
    """Of 9 words in place of 10, 4 + 4 are right, 3 + 3 of 7 bigrams, 2 + 2 of 5 and 1 + 1 of 3."""
    found = scores.of_translations(["a b c d e", "a b c d"], ["a b c d f", "a b c d e"])
    assert found["bleu"] == pytest.approx(100 * (8 / 9 * 6 / 7 * 4 / 5 * 2 / 3) ** 0.25 * np.exp(1 - 10 / 9))


def test_they_are_what_sacrebleu_says():
    hypotheses, references, _ = translations()
    hypotheses = [h.capitalize() for h in hypotheses]
    found = scores.of_translations(hypotheses, references)
    assert set(found) == {"bleu", "bleu_lowercase", "chrf", "exact_match", "signature"}
    assert found["bleu"] == sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert found["bleu_lowercase"] == sacrebleu.corpus_bleu(hypotheses, [references], lowercase=True).score
    assert found["chrf"] == sacrebleu.corpus_chrf(hypotheses, [references]).score
    assert found["bleu_lowercase"] > found["bleu"] + 1 and 0 < found["bleu"] < 100
    assert "tok:13a" in found["signature"] and f"version:{sacrebleu.__version__}" in found["signature"]


def test_an_exact_match_is_the_whole_sentence_as_it_is():
    found = scores.of_translations(["a b .", "a b", "A b .", "", "c d"], ["a b .", "a b .", "a b .", "", "c"])
    assert found["exact_match"] == 40


@pytest.mark.parametrize("metric", ["bleu", "exact_match"])
@pytest.mark.parametrize("bins", [1, 4, 6])
def test_bins_hold_every_sentence_once_and_score_their_own(metric, bins):
    hypotheses, references, lengths = translations()
    found = scores.by_length(hypotheses, references, lengths, metric=metric, bins=bins)
    assert len(found) == bins and sum(row["count"] for row in found) == len(lengths)
    assert all(a["high"] < b["low"] for a, b in zip(found, found[1:], strict=False))
    for row in found:
        own = np.flatnonzero((lengths >= row["low"]) & (lengths <= row["high"]))
        assert row["count"] == len(own) and {row["low"], row["high"]} <= set(lengths)
        assert abs(len(own) - len(lengths) / bins) <= 6
        direct = scores.of_translations([hypotheses[i] for i in own], [references[i] for i in own])[metric]
        assert row["score"] == pytest.approx(direct)
        low, high = row["interval"]
        assert low <= row["score"] <= high and low < high


@pytest.mark.parametrize(
    ("lengths", "wanted"),
    [
        ([7] * 12, [(7, 7, 12)]),
        ([3] * 11 + [9], [(3, 3, 11), (9, 9, 1)]),
        ([9] + [3] * 11, [(3, 3, 11), (9, 9, 1)]),
        ([3, 9] * 6, [(3, 3, 6), (9, 9, 6)]),
        ([3] * 6 + [4, 5, 6] * 2, [(3, 3, 6), (4, 4, 2), (5, 5, 2), (6, 6, 2)]),
        ([1] + [2] * 5 + [9, 40] * 3, [(1, 1, 1), (2, 2, 5), (9, 9, 3), (40, 40, 3)]),
    ],
)
def test_where_there_are_fewer_lengths_than_bins_each_has_its_own(lengths, wanted):
    hypotheses, references, _ = translations(12)
    found = scores.by_length(hypotheses, references, lengths, metric="exact_match")
    assert [(row["low"], row["high"], row["count"]) for row in found] == wanted


@pytest.mark.parametrize("bins", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("seed", range(4))
def test_there_are_as_many_bins_as_asked_for_and_as_even_as_lengths_allow(bins, seed, monkeypatch):
    """However the lengths lie: a bin's share is missed by at most the sentences of the two lengths at its ends."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 2)
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(0.2, 80) if seed % 2 else rng.integers(1, 9, 80)  # one of them skewed
    hypotheses, references, _ = translations(80)
    found = scores.by_length(hypotheses, references, lengths, metric="exact_match", bins=bins)
    assert len(found) == min(bins, len(set(lengths))) and sum(row["count"] for row in found) == 80
    assert all(a["high"] < b["low"] for a, b in zip(found, found[1:], strict=False))
    if len(set(lengths)) >= 2 * bins:
        for row in found:
            ends = sum(lengths == row["low"]) + sum(lengths == row["high"]) + max(np.bincount(lengths))
            assert abs(row["count"] - 80 / bins) <= ends


def test_an_interval_is_of_sacrebleus_scores_of_the_resamples(monkeypatch):
    """Koehn 2004: as many sentences, drawn with replacement; the middle 95 % of their scores."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 40)
    hypotheses, references, _ = translations(15)
    (row,) = scores.by_length(hypotheses, references, np.arange(15), bins=1, seed=4)
    rng, drawn = np.random.default_rng(4), []
    for _ in range(40):
        rows = rng.integers(0, 15, 15)
        drawn.append(sacrebleu.corpus_bleu([hypotheses[i] for i in rows], [[references[i] for i in rows]]).score)
    np.testing.assert_allclose(row["interval"], np.percentile(drawn, [2.5, 97.5]))
    assert scores.by_length(hypotheses, references, np.arange(15), bins=1, seed=5)[0]["interval"] != row["interval"]


def test_without_sacrebleu_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.UserError, match=r"scores: BLEU needs sacrebleu: pip install 'keras_dl\[translation\]'"):
        scores.of_translations(["a"], ["a"])
