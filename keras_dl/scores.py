"""How good translations are: BLEU and chrF as sacrebleu has them, exact matches, and what becomes of them by length."""

import importlib.util

import numpy as np

from keras_dl.arguments import OneOf, Seed, Tuple, Whole, check, checked, shown
from keras_dl.errors import UserError

RESAMPLES = 1000  # of a bootstrap
LEVEL = 95  # percent of them that an interval holds


def of_translations(hypotheses, references):
    """What is said of a system: {"bleu", "bleu_lowercase", "chrf", "exact_match" in percent, "signature" of BLEU}.

    Args:
        hypotheses, references: lists of strings, one reference each, as they are: sacrebleu tokenises (13a).

    BLEU: Papineni et al. 2002, as Post (arXiv:1804.08771) fixed it; chrF: Popovic 2015. bleu_lowercase is the same of
    lower-cased text, nearer to what papers have that score tokenised, lower-cased text.

    Raises:
        UserError: sacrebleu is not installed; there are no strings, or not as many of one as of the other.

    >>> found = of_translations(["a dog runs in the park .", "b"], ["a dog runs in the park .", "c"])
    >>> found["exact_match"]
    50.0
    """
    hypotheses, references = _pairs("scores.of_translations", hypotheses, references)
    bleu, lowercase, chrf = (_metric(name, **options) for name, options in METRICS.values())
    exact = np.mean([h == r for h, r in zip(hypotheses, references, strict=True)])
    return {
        "bleu": float(bleu.corpus_score(hypotheses, [references]).score),
        "bleu_lowercase": float(lowercase.corpus_score(hypotheses, [references]).score),
        "chrf": float(chrf.corpus_score(hypotheses, [references]).score),
        "exact_match": 100 * float(exact),
        "signature": str(bleu.get_signature()),
    }


METRICS = {"bleu": ("BLEU", {}), "bleu_lowercase": ("BLEU", {"lowercase": True}), "chrf": ("CHRF", {})}


@checked(who="scores.by_length")
def by_length(
    hypotheses, references, lengths, *, metric: OneOf("bleu", "exact_match") = "bleu",
    bins: Whole(1, 1_000_000) = 6, seed: Seed = 0,
):  # fmt: skip
    """A score by the length of the source (Bahdanau et al., arXiv:1409.0473, figure 2), with bootstrap intervals.

    Args:
        hypotheses, references: lists of strings.
        lengths: (N,) of each source.
        metric: "bleu" of the corpus of each bin, or "exact_match", in percent.
        bins: how many, of about as many sentences each; where there are fewer lengths than that, one each.
        seed: of the resampling.

    Returns:
        A list of {"low", "high" (lengths, both within), "count", "score", "interval": [low, high] of 95 % of the
        resampled scores (Koehn 2004)}.

    Raises:
        UserError: as of_translations has it; lengths are not one number of each.
    """
    hypotheses, references = _pairs("scores.by_length", hypotheses, references)
    count = len(hypotheses)
    lengths = check("scores.by_length: lengths", Tuple(Whole(0, 2**62), count, count), _listed(lengths))
    lengths, rng = np.array(lengths), np.random.default_rng(seed)
    of = _corpus_bleu if metric == "bleu" else _exact
    matches = []
    for low, high in _bins(lengths, bins):
        rows = np.flatnonzero((lengths >= low) & (lengths <= high))
        score = of([hypotheses[i] for i in rows], [references[i] for i in rows])
        draws = [score(rng.integers(0, len(rows), len(rows))) for _ in range(RESAMPLES)]
        matches.append({
            "low": int(low), "high": int(high), "count": len(rows),
            "score": score(np.arange(len(rows))),
            "interval": [float(x) for x in np.percentile(draws, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])],
        })  # fmt: skip
    return matches


def _listed(lengths):
    return lengths.tolist() if isinstance(lengths, np.ndarray) else lengths


def _pairs(who, hypotheses, references):
    """Two lists of as many strings."""
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        several = isinstance(texts, (list, tuple, np.ndarray)) and len(texts) > 0
        if not several or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{who}: {name} must be a list of strings, at least one; got {shown(texts)}.")
    if len(hypotheses) != len(references):
        raise UserError(
            f"{who}: hypotheses and references must be as many as each other; got {len(hypotheses)} and "
            f"{len(references)}."
        )
    return list(hypotheses), list(references)


def _bins(lengths, bins):
    """(shortest, longest) of each bin: min(bins, how many lengths there are) of them, cut at the quantiles; where two
    quantiles are one length, at the next one."""
    values = np.unique(lengths)
    count = min(bins, len(values))
    cuts = [0]
    for number in range(1, count):
        quantile = int(np.quantile(lengths, number / count))
        cut = np.searchsorted(values, quantile)
        cuts.append(np.clip(cut, cuts[-1] + 1, len(values) - (count - number)))  # each bin has a length at least
    return [(values[a], values[b - 1]) for a, b in zip(cuts, [*cuts[1:], len(values)], strict=True)]


def _corpus_bleu(hypotheses, references):
    """The BLEU of any of the sentences, {indices: score}: the counts that it is made of are taken once."""
    bleu = _metric("BLEU")
    counts = np.array(bleu._extract_corpus_statistics(hypotheses, [references]))
    return lambda rows: float(bleu._compute_score_from_stats(list(counts[rows].sum(0))).score)


def _exact(hypotheses, references):
    same = np.array([h == r for h, r in zip(hypotheses, references, strict=True)], float)
    return lambda rows: 100 * float(same[rows].mean())


def _metric(name, **options):
    if importlib.util.find_spec("sacrebleu") is None:
        raise UserError("scores: BLEU needs sacrebleu: pip install 'keras_dl[translation]'.")
    from sacrebleu import metrics

    return getattr(metrics, name)(**options)
