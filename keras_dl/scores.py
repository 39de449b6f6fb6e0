"""Scores of translations: BLEU and chrF by sacrebleu, exact matches, and scores by the length of the source."""

import functools
import importlib.util

import numpy as np

from keras_dl import bootstrap
from keras_dl.arguments import OneOf, Seed, Tuple, Whole, check, checked, shown
from keras_dl.errors import UserError


def of_translations(hypotheses, references):
    """Corpus scores of translations.

    BLEU: Papineni et al. 2002, as standardised by Post (arXiv:1804.08771); chrF: Popovic 2015. bleu_lowercase is BLEU
    of lower-cased text, closer to papers that score tokenised, lower-cased text.

    Args:
        hypotheses, references: lists of strings, one reference per hypothesis, untokenised: sacrebleu tokenises (13a).

    Returns:
        {"bleu", "bleu_lowercase", "chrf", "exact_match": in percent, "signature": sacrebleu's description of BLEU}.

    Raises:
        UserError: sacrebleu is not installed, the lists are empty, or their lengths differ.

    >>> scores = of_translations(["a dog runs in the park .", "b"], ["a dog runs in the park .", "c"])
    >>> scores["exact_match"]
    50.0
    """
    hypotheses, references = _pairs("scores.of_translations", hypotheses, references)
    bleu, lowercase, chrf = (_metric(name, **options) for name, options in METRICS.values())
    return {
        "bleu": float(bleu.corpus_score(hypotheses, [references]).score),
        "bleu_lowercase": float(lowercase.corpus_score(hypotheses, [references]).score),
        "chrf": float(chrf.corpus_score(hypotheses, [references]).score),
        "exact_match": 100 * float(_same(hypotheses, references).mean()),
        "signature": str(bleu.get_signature()),
    }


METRICS = {"bleu": ("BLEU", {}), "bleu_lowercase": ("BLEU", {"lowercase": True}), "chrf": ("CHRF", {})}
SCORES = (*METRICS, "exact_match")


def of_each(hypotheses, references):
    """The chrF of each sentence, a list of floats in percent; arguments and errors as in of_translations."""
    hypotheses, references = _pairs("scores.of_each", hypotheses, references)
    chrf = _metric("CHRF")
    pairs = zip(hypotheses, references, strict=True)
    return [float(chrf.sentence_score(hypothesis, [reference]).score) for hypothesis, reference in pairs]


@checked(who="scores.intervals")
def intervals(hypotheses, references, names: Tuple(OneOf(*SCORES), 0), *, seed: Seed = 0):
    """Bootstrap intervals of corpus scores over sentences (Koehn 2004).

    Args:
        hypotheses, references: as in of_translations.
        names: of the scores, any of SCORES.
        seed: of the resampling.

    Returns:
        {name: [low, high]} of 95 % of the resampled scores. Of a single sentence only "exact_match" has an interval.
    """
    hypotheses, references = _pairs("scores.intervals", hypotheses, references)
    results = {}
    for name in names:
        if name == "exact_match":
            results[name] = [100 * end for end in bootstrap.of_share(_same(hypotheses, references), seed)]
        elif len(hypotheses) >= bootstrap.LEAST:
            results[name] = bootstrap.interval(_corpus(name, hypotheses, references), len(hypotheses), seed)
    return results


@checked(who="scores.by_length")
def by_length(
    hypotheses, references, lengths, *, metric: OneOf("bleu", "exact_match") = "bleu",
    bins: Whole(1, 1_000_000) = 6, seed: Seed = 0,
):  # fmt: skip
    """A score by the length of the source (Bahdanau et al., arXiv:1409.0473, figure 2), with bootstrap intervals.

    Args:
        hypotheses, references: lists of strings.
        lengths: (N,) integers, the length of each source.
        metric: "bleu", corpus BLEU of each bin, or "exact_match", in percent.
        bins: number of bins, with about equally many sentences; at most one per different length.
        seed: of the resampling.

    Returns:
        A list with a dict per bin: {"low", "high": smallest and largest length, "count": number of sentences, "score",
        "interval": [low, high] of 95 % of the resampled scores (Koehn 2004)}.

    Raises:
        UserError: as in of_translations; or `lengths` is not one number per sentence.
    """
    hypotheses, references = _pairs("scores.by_length", hypotheses, references)
    count = len(hypotheses)
    lengths = check("scores.by_length: lengths", Tuple(Whole(0, 2**62), count, count), _listed(lengths))
    lengths, rng = np.array(lengths), np.random.default_rng(seed)
    scorer = functools.partial(_corpus, "bleu") if metric == "bleu" else _exact
    results = []
    for low, high in _bins(lengths, bins):
        rows = np.flatnonzero((lengths >= low) & (lengths <= high))
        score = scorer([hypotheses[i] for i in rows], [references[i] for i in rows])
        results.append({
            "low": int(low), "high": int(high), "count": len(rows),
            "score": score(np.arange(len(rows))),
            "interval": bootstrap.interval(score, len(rows), rng),
        })  # fmt: skip
    return results


def _listed(lengths):
    return lengths.tolist() if isinstance(lengths, np.ndarray) else lengths


def _pairs(who, hypotheses, references):
    """Both arguments as lists; UserError unless they are non-empty lists of strings of equal length."""
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        several = isinstance(texts, (list, tuple, np.ndarray)) and len(texts) > 0
        if not several or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{who}: {name} must be a list of strings, at least one; got {shown(texts)}.")
    if len(hypotheses) != len(references):
        raise UserError(
            f"{who}: hypotheses and references must be equally many; got {len(hypotheses)} and {len(references)}."
        )
    return list(hypotheses), list(references)


def _bins(lengths, bins):
    """(smallest, largest length) of each bin; min(bins, number of different lengths) bins.

    Bins are cut at the quantiles of the lengths; if two quantiles are equal, the second cut is at the next length.
    """
    values = np.unique(lengths)
    count = min(bins, len(values))
    cuts = [0]
    for number in range(1, count):
        quantile = int(np.quantile(lengths, number / count))
        cut = np.searchsorted(values, quantile)
        cuts.append(np.clip(cut, cuts[-1] + 1, len(values) - (count - number)))  # each bin has at least one length
    return [(values[a], values[b - 1]) for a, b in zip(cuts, [*cuts[1:], len(values)], strict=True)]


def _corpus(name, hypotheses, references):
    """A function indices -> corpus score of these sentences, from n-gram counts that are computed once."""
    kind, options = METRICS[name]
    metric = _metric(kind, **options)
    counts = np.array(metric._extract_corpus_statistics(hypotheses, [references]))
    return lambda rows: float(metric._compute_score_from_stats(list(counts[rows].sum(0))).score)


def _same(hypotheses, references):
    """Whether each hypothesis is its reference: booleans (N,)."""
    return np.array([h == r for h, r in zip(hypotheses, references, strict=True)])


def _exact(hypotheses, references):
    same = _same(hypotheses, references)
    return lambda rows: 100 * float(same[rows].mean())


def _metric(name, **options):
    if importlib.util.find_spec("sacrebleu") is None:
        raise UserError(f"scores: {name} needs sacrebleu: pip install 'keras_dl[translation]'.")
    from sacrebleu import metrics

    return getattr(metrics, name)(**options)
