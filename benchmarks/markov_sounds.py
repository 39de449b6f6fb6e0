"""How probable the spoken digits' test recordings are if a sample depends on none, one or two samples before it.

    python benchmarks/markov_sounds.py markov1 --json FILE

The probability of a level after the levels before it is its frequency there, mixed with the estimate after one level
fewer as if that had been seen `weight` times (MacKay and Peto, Natural Language Engineering 1(3), 1995); without levels
before it, it is mixed with equal probabilities. The weight is the one of WEIGHTS that is best for take 9 given takes 5
to 8; then all five are counted. What is before a recording is silence.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from keras_dl import data
from keras_dl.features import audio_files

ORDERS = {"marginal": 0, "markov1": 1, "markov2": 2}
WEIGHTS = (1, 3, 10, 30, 100, 300)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("row", choices=ORDERS, metavar="ROW", help=", ".join(ORDERS))
    parser.add_argument("--json", type=Path, help="write the result there")
    asked = parser.parse_args(argv)
    order, splits = ORDERS[asked.row], data.audio.load("fsdd")
    train, validation, test = (levels_of(splits, part) for part in ("train", "validation", "test"))
    silence = splits.preprocess.silence
    weight = min(WEIGHTS, key=lambda weight: nats_per_sample(train, validation, order, weight, silence))
    value = nats_per_sample(train + validation, test, order, weight, silence)
    print(f"{asked.row}: {value:.4f} nats per sample, weight {weight}")
    if asked.json:
        result = {"metrics": {"nats_per_sample": value}, "details": {"weight": weight}}
        asked.json.write_text(json.dumps(result, indent=2))


def levels_of(splits, part):
    """The levels of a split's recordings: a list of arrays (T,)."""
    recordings = splits.parts[part].features["audio"]
    return [splits.preprocess(audio_files.as_float(recording)).numpy() for recording in recordings]


def nats_per_sample(train, test, order, weight, silence, levels=256):
    """Mean of -log p over all samples of `test`, with the counts of `train`.

    Args:
        train, test: lists of arrays (T,) of whole numbers below `levels`.
        order: number of levels on which a sample depends.
        weight: how many times the estimate after one level fewer counts.
        silence: the level before a recording.
        levels: number of levels.

    >>> train, test = [np.array([0, 0, 1])], [np.array([1])]
    >>> round(nats_per_sample(train, test, 0, 1, 0, levels=2), 4)  # p = (1 + 1 / 2) / (3 + 1)
    0.9808
    """
    probability = np.full(sum(map(len, test)), 1 / levels)
    for width in range(order + 1):
        contexts, followers = _pairs(train, width, silence, levels)
        asked, wanted = _pairs(test, width, silence, levels)
        together = _count(contexts * levels + followers, asked * levels + wanted)
        probability = (together + weight * probability) / (_count(contexts, asked) + weight)
    return float(-np.log(probability).mean())


def _pairs(recordings, width, silence, levels):
    """(the `width` levels before each sample as one number, the sample's level), of all samples: int64 (N,) each."""
    contexts = []
    for recording in recordings:
        padded = np.concatenate([np.full(width, silence, np.int64), recording])
        context = np.zeros(len(recording), np.int64)
        for place in range(width):
            context = context * levels + padded[place : place + len(recording)]
        contexts.append(context)
    return np.concatenate(contexts), np.concatenate(recordings).astype(np.int64)


def _count(seen, asked):
    """How often each number of `asked` stands in `seen`."""
    values, counts = np.unique(seen, return_counts=True)
    places = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    return np.where(values[places] == asked, counts[places], 0)


if __name__ == "__main__":
    main()
