"""Score against the source's length, as in Bahdanau et al. (arXiv:1409.0473), figure 2: three models side by side.

    python benchmarks/lengths.py dates transformer --json FILE
    python benchmarks/lengths.py multi30k transformer --json FILE      # of the export in saved_models/

dates. Each model is trained by apps/translate.py on sources of 1 to 8 dates and amounts. Its export translates 1,000
test sources of 1 to 17 of them, up to about 60 words; reported are the BLEU of the sources that are as long as those in
training, and that of the longer ones. All three models are of about the same size and have the same pairs, learning
rate and beam; nothing was tuned. The models with attention train for two epochs, the one without for ten, because after
two it had learnt next to nothing. The paper's counterpart is training on sentences of at most 30 or 50 words.

multi30k. Its sentences are short: the curve is given with intervals, and no claim rests on it. The model is the export
of the recipe in tables.py, which must be in saved_models/; nothing is reported unless its BLEU is the card's, to 0.05.

Intervals hold 95 % of 1,000 resampled test sets (Koehn 2004). The exports run with TensorFlow alone.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from keras_dl import command_line, imports
from keras_dl.errors import Refused, UserError

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
BINS = {"dates": 8, "multi30k": 6}
TRAINED, TESTED = (1, 8), (1, 17)  # items of a source
MODELS = {  # name of the app's model, its epochs and its sizes for the dates
    "transformer": ("transformer", "--epochs 2 --set num_layers=2 --set hidden_dim=128 --set intermediate_dim=256"),
    "attention_gru": (
        "attention_seq2seq",
        "--epochs 2 --set units=128 --set embedding_dim=128 --set attention_units=128 --set output_units=128",
    ),
    "seq2seq": ("seq2seq", '--epochs 10 --set "units=(160, 160)" --set embedding_dim=128'),
}
DATES = (
    "--dataset dates --chained 1 8 --trials 0 --seed 0 --batch-tokens 2048 --learning-rate 0.002 "
    "--schedule onecycle --label-smoothing 0 --keep last --set dropout=0.0"
)
COLOURS = ("tab:blue", "tab:red", "tab:green")
TITLES = {"dates": "Dates and amounts, trained on 1 to 8 of them", "multi30k": "Multi30k, English to German"}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("dataset", choices=BINS)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="dates: a few pairs: does everything run?")
    asked = parser.parse_args(argv)
    result = dates(asked.model, asked.smoke) if asked.dataset == "dates" else multi30k(asked.model)
    print(", ".join(f"{name} {figure['value']:.4g}" for name, figure in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def dates(row, smoke=False):
    """Train on sources of a few items, then translate longer ones too."""
    with imports.quiet_tensorflow():
        from keras_dl import export
        from keras_dl.data import dates as generator

    model, sizes = MODELS[row]
    words = shlex.split(f"apps/translate.py --model {model} {DATES} {sizes}") + ["--smoke"] * smoke
    with tempfile.TemporaryDirectory(prefix="keras_dl-lengths-") as folder:
        if subprocess.run([sys.executable, *words, "--out", folder], cwd=ROOT).returncode:
            raise UserError(f"lengths: `python {shlex.join(words)}` failed.")
        exported = export.load(Path(folder) / "saved_models" / f"{model}-dates")
        sources, references = generator.generate(20 if smoke else 1000, SEED, part="test", chained=TESTED)
        hypotheses = translated(exported, sources)
    items = [source.count(generator.JOINT) + 1 for source in sources]
    within = [count <= TRAINED[1] for count in items]
    of = {"bleu_trained": within, "bleu_longer": [not inside for inside in within]}
    metrics = {name: _score(sources, hypotheses, references, chosen) for name, chosen in of.items()}
    exact = {name: 100 * _mean(h == r for h, r, c in zip(hypotheses, references, chosen, strict=True) if c)
             for name, chosen in of.items()}  # fmt: skip
    longest = max(len(source.split()) for source, inside in zip(sources, within, strict=True) if inside)
    return {
        "metrics": metrics,
        "details": {
            "command": f"python {shlex.join(words)}", "sources": len(sources),
            "test_of_the_app": exported.card["metrics"],
            "exact_match_trained": exact["bleu_trained"], "exact_match_longer": exact["bleu_longer"],
        },
        "curves": {"points": _points("dates", sources, hypotheses, references), "longest_trained": longest},
    }  # fmt: skip


def multi30k(row):
    """Translate the test set with the export that is there."""
    with imports.quiet_tensorflow():
        from keras_dl import scores
        from keras_dl.data import pairs
    exported = of_multi30k(row)
    test = pairs.load("multi30k", SEED, vocabulary_size=500).test.features
    sources, references = ([text.decode() for text in test[f"{side}_text"]] for side in ("source", "target"))
    hypotheses = translated(exported, sources)
    bleu = scores.of_translations(hypotheses, references)["bleu"]
    said = exported.card["metrics"]["bleu"]
    if abs(bleu - said) > 0.05:
        raise UserError(f"lengths: the export has a BLEU of {bleu:.2f}; its card says {said:.2f}.")
    return {
        "metrics": {"bleu": _score(sources, hypotheses, references, [True] * len(sources))},
        "details": {
            "export": made_by(exported), "export_commit": exported.card["git_commit"], "sources": len(sources),
        },
        "curves": {"points": _points("multi30k", sources, hypotheses, references)},
    }  # fmt: skip


def of_multi30k(row):
    """The export of a row of the table multi30k."""
    with imports.quiet_tensorflow():
        from keras_dl import export
    from tables import TABLES

    model, _ = MODELS[row]
    folder = ROOT / "saved_models" / f"{model}-multi30k"
    if not folder.is_dir():
        command = next(r.command for r in TABLES["multi30k"].rows if f"--model {model} " in r.command)
        raise UserError(f"lengths: there is no {folder.relative_to(ROOT)}; first run python {command}")
    return export.load(folder)


def made_by(exported):
    """The command of an export, without the places of the machine that ran it."""
    words = shlex.split(exported.card["command"])
    words = words[next(i for i, word in enumerate(words) if word.endswith("translate.py")) + 1 :]
    if "--out" in words:
        del words[words.index("--out") : words.index("--out") + 2]
    return shlex.join(["python", "apps/translate.py", *words])


def translated(exported, sources):
    """The best translations that an export gives; sentences of like lengths go together."""
    from keras_dl.endpoints.translation import MOST_SENTENCES

    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    translations = {}

    def ask(rows):
        try:
            answer = exported.call("translate", source=[sources[i] for i in rows], length_penalty=0.6)["translation"]
            translations.update(zip(rows, answer, strict=True))
        except Refused:  # together they are too much for one request
            if len(rows) == 1:
                raise
            ask(rows[: len(rows) // 2])
            ask(rows[len(rows) // 2 :])

    for start in range(0, len(order), MOST_SENTENCES):
        ask(order[start : start + MOST_SENTENCES])
    return [translations[i].decode(errors="replace") for i in range(len(sources))]


def draw(curves, path):
    """BLEU by words of the source, a panel for each data set; bars and bands are the intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    for name, axes in zip(BINS, figure.subplots(1, 2), strict=True):
        for colour, row in zip(COLOURS, MODELS, strict=True):
            if f"{name}_{row}" not in curves:
                continue
            points = curves[f"{name}_{row}"]["points"]
            middles = [(point["low"] + point["high"]) / 2 for point in points]
            axes.plot(middles, [point["score"] for point in points], "o-", color=colour, markersize=3, label=row)
            low, high = zip(*(point["interval"] for point in points), strict=True)
            axes.fill_between(middles, low, high, color=colour, alpha=0.15, linewidth=0)
            if "longest_trained" in curves[f"{name}_{row}"]:
                axes.axvline(curves[f"{name}_{row}"]["longest_trained"], color="gray", linestyle=":", linewidth=1)
        axes.set(xlabel="words of the source", ylabel="BLEU", title=TITLES[name], ylim=(0, None))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=110)


def _points(name, sources, hypotheses, references):
    from keras_dl import scores

    return scores.by_length(
        hypotheses, references, [len(source.split()) for source in sources], bins=BINS[name], seed=SEED
    )


def _score(sources, hypotheses, references, chosen):
    """{"value", "spread"}: BLEU of the chosen ones, and its interval."""
    from keras_dl import scores

    rows = [i for i, yes in enumerate(chosen) if yes]
    (all_of_them,) = scores.by_length(
        [hypotheses[i] for i in rows], [references[i] for i in rows], [0] * len(rows), bins=1, seed=SEED
    )
    return {"value": all_of_them["score"], "spread": all_of_them["interval"]}


def _mean(values):
    values = list(values)
    return sum(values) / max(1, len(values))


PICTURES = {"lengths": draw}

if __name__ == "__main__":
    command_line.run(main)
