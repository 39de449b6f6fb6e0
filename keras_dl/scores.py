"""How good translations are: BLEU and chrF as sacrebleu has them, exact matches, and what becomes of them by length."""

import importlib.util

import numpy as np

from keras_dl.runtime import UserError

RESAMPLES = 1000  # of a bootstrap
LEVEL = 95  # percent of them that an interval holds


def of_translations(hypotheses, references):
    """What is said of a system: {"bleu", "bleu_lowercase", "chrf", "exact_match" in percent, "signature" of BLEU}.

    Args:
        hypotheses, references: lists of strings, one reference each, as they are: sacrebleu tokenises (13a).

    BLEU: Papineni et al. 2002, as Post (arXiv:1804.08771) fixed it; chrF: Popovic 2015. bleu_lowercase is the same of
    lower-cased text, nearer to what papers have that score tokenised, lower-cased text.

    Raises:
        UserError: sacrebleu is not installed.

    >>> found = of_translations(["a dog runs in the park .", "b"], ["a dog runs in the park .", "c"])
    >>> found["exact_match"]
    50.0
    """
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


def by_length(hypotheses, references, lengths, *, metric="bleu", bins=6, seed=0):
    """A score by the length of the source (Bahdanau et al., arXiv:1409.0473, figure 2), with bootstrap intervals.

    Args:
        hypotheses, references: lists of strings.
        lengths: (N,) of each source.
        metric: "bleu" of the corpus of each bin, or "exact_match", in percent.
        bins: how many, of about as many sentences each.
        seed: of the resampling.

    Returns:
        A list of {"low", "high" (lengths, both within), "count", "score", "interval": [low, high] of 95 % of the
        resampled scores (Koehn 2004)}.
    """
    lengths, rng = np.asarray(lengths), np.random.default_rng(seed)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, bins + 1)).astype(int))
    edges = np.append(edges, edges) if len(edges) == 1 else edges  # all of one length
    of = _corpus_bleu if metric == "bleu" else _exact
    found = []
    for number, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
        rows = np.flatnonzero((lengths >= low) & ((lengths < high) | (number == len(edges) - 2)))
        if not len(rows):
            continue
        score = of([hypotheses[i] for i in rows], [references[i] for i in rows])
        draws = [score(rng.integers(0, len(rows), len(rows))) for _ in range(RESAMPLES)]
        found.append({
            "low": int(lengths[rows].min()), "high": int(lengths[rows].max()), "count": len(rows),
            "score": score(np.arange(len(rows))),
            "interval": [float(x) for x in np.percentile(draws, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])],
        })  # fmt: skip
    return found


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
