"""Where a translation looks: the alignment of a sentence, drawn as in Bahdanau et al. (arXiv:1409.0473), figure 3.

    python benchmarks/alignment.py transformer --json FILE      # of the export in saved_models/

The models are the exports of Multi30k's recipes (tables.py), which must be in saved_models/. The picture shows the
first sentence of the test set that has 10 to 12 words, with its reference as the target; of the Transformer it shows
each head of the last layer but one. The figure of a row is the mean entropy of the weights, in nats a target sub-word,
over 200 test pairs (and all heads of that layer). An entropy of 0 means that all weight is on one sub-word.
"""

import argparse
import json
from pathlib import Path

import lengths
import numpy as np

from keras_dl import command_line, imports

ROWS = ("transformer", "attention_gru")
PAIRS = 200
WORDS = range(10, 13)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("model", choices=ROWS)
    parser.add_argument("--json", type=Path, help="write the result there")
    asked = parser.parse_args(argv)
    result = alignment(asked.model)
    print(", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def alignment(row):
    """The entropy over test pairs, and the weights of one."""
    with imports.quiet_tensorflow():
        import keras

        from keras_dl import cards, samples
        from keras_dl.data import pairs
    exported = lengths.of_multi30k(row)
    looking = keras.saving.load_model(exported.path / "model.keras", compile=False).with_attention()
    subwords = cards.features_of(exported.card, "serving_default", "inputs")["source"].subwords
    test = pairs.load("multi30k", lengths.SEED, vocabulary_size=500).test.features
    pairs = [tuple(text.decode() for text in two) for two in zip(test["source_text"], test["target_text"], strict=True)]
    alignments = [samples.attention_of(looking, subwords, *pair) for pair in pairs[:PAIRS]]
    shown = samples.attention_of(looking, subwords, *next(p for p in pairs if len(p[0].split()) in WORDS))
    shown["weights"] = np.round(shown["weights"], 3).tolist()
    entropies = np.concatenate([entropy(one["weights"]).ravel() for one in alignments])
    return {
        "metrics": {"entropy": float(entropies.mean())},
        "details": {"export": lengths.made_by(exported), "export_commit": exported.card["git_commit"], "pairs": PAIRS},
        "curves": {"weights": shown},
    }


def entropy(weights):
    """(..., S) of sum 1 -> (...) in nats."""
    weights = np.maximum(np.asarray(weights, np.float64), 1e-30)
    return -(weights * np.log(weights)).sum(-1)


def draw(curves, path):
    """The recurrent network's alignment, and the Transformer's heads beside it."""
    from matplotlib.figure import Figure

    rows = [(row, curves[row]["weights"]) for row in reversed(ROWS) if row in curves]
    panels = []
    for row, shown in rows:
        weights = np.array(shown["weights"])
        heads = weights.reshape(-1, *weights.shape[-2:])
        titles = [row] if len(heads) == 1 else [f"{row}, {title}" for title in shown["titles"]]
        panels += [(title, head, shown) for title, head in zip(titles, heads, strict=True)]
    columns = min(3, len(panels))
    figure = Figure(figsize=(4.6 * columns, 4.8 * -(-len(panels) // columns)), layout="constrained")
    for number, (title, head, shown) in enumerate(panels, 1):
        axes = figure.add_subplot(-(-len(panels) // columns), columns, number, title=title)
        axes.imshow(head, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set_xticks(range(len(shown["source"])), shown["source"], rotation=90, fontsize=8)
        axes.set_yticks(range(len(shown["target"])), shown["target"], fontsize=8)
        axes.xaxis.tick_top()
    figure.savefig(path, dpi=80)


PICTURES = {"alignment": draw}

if __name__ == "__main__":
    command_line.run(main)
