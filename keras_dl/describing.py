"""What is said of the data before a training, and beside the test figures after it: facts, a figure to beat, warnings.

    describing.show(run, splits, train)               # after runs.start
    ...
    describing.show_test(splits, metrics)             # beside the test figures

What differs between kinds of data is said by the splits themselves (data/facts.py).
"""

from keras_dl import console, json_files, records, tables
from keras_dl.wording import counted, verb

FEW_STEPS = 10  # of an epoch
LISTED = 20  # largest number of classes that are listed with their counts


def summary(splits, train_batches, epochs=None, chosen=False):
    """What is known of the data before a training, as plain JSON.

    Args:
        splits: data.Splits.
        train_batches: data.Batches of the training split.
        epochs: number of epochs of the training, for a warning; None: not known.
        chosen: whether that number was worked out from the data: then a short epoch needs no warning.

    Returns:
        A dict with the fields of records.Summary: "name", "source", "licence" (None if unknown), "counts" {split:
        number}, "unit" of the counts, "classes" {class: {split: number}}, "sizes" {"what", "smallest", "median",
        "largest"}, "left_out" (sentences), "steps_per_epoch", "baseline" {"metric", "value", "what"}, the score on the
        validation split of a constant predictor that learnt its constant from the training split, and "warnings"
        (sentences). "classes", "sizes" and "baseline" are {} for data that have none.
    """
    info, facts, steps = splits.info, splits.facts, train_batches.steps()
    return {
        "name": info.name,
        "source": info.source,
        "licence": info.licence or None,
        "counts": dict(info.counts),
        "unit": facts.unit,
        "classes": facts.classes(splits),
        "sizes": facts.sizes(splits),
        "left_out": list(splits.notes),
        "steps_per_epoch": steps,
        "baseline": facts.baseline(splits),
        "warnings": [*splits.warnings, *facts.warnings(splits), *([] if chosen else _few_steps(steps, epochs))],
    }


def show(run, splits, train_batches):
    """Print the summary of the data and note it in the run's config.json; on a resume, say only that it is as before.

    `Splits.notes`, the sentences on what was left out, are printed by runs.start.

    Args:
        run: the runs.Run.
        splits, train_batches: as for `summary`.

    Returns:
        The summary, as of when the run was started.
    """
    config = run.path / "config.json"
    if run.resumed and (noted := json_files.read(config, records.Config).get("summary")) is not None:
        run.say(f"data: as before, {_counts(noted)}")
        return noted
    chosen = "epochs" in run.chosen.get("values", {})
    facts = summary(splits, train_batches, run.settings.get("epochs"), chosen)
    run.note("summary", facts)
    tables.show(f"data: {facts['name']} ({facts['source']})", ["", ""], _rows(facts))
    if 0 < len(facts["classes"]) <= LISTED:
        rows = [[name, *map(str, counts.values())] for name, counts in facts["classes"].items()]
        tables.show("", ["class", *facts["counts"]], rows)
    for sentence in facts["warnings"]:
        console.say(f"warning: {sentence}")
    return facts


def show_test(splits, metrics):
    """Print, beside the test figures, what they must be compared with.

    Args:
        splits: data.Splits.
        metrics: {name: number} on the test split.
    """
    baseline = splits.facts.baseline(splits)
    if baseline.get("metric") in metrics:
        name, value = baseline["metric"], baseline["value"]
        console.say(f"to compare: {name} {value:.4f} on validation for a constant answer ({baseline['what']})")
    if about_test := splits.info.details.get("test_split"):
        console.say(f"to know: {about_test}")


def _rows(facts):
    counts = {name: sum(of.values()) for name, of in facts["classes"].items()}
    rows = [[facts["unit"], _counts(facts).removesuffix(f" {facts['unit']}")]]
    if facts["sizes"]:
        smallest, median, largest = (facts["sizes"][name] for name in ("smallest", "median", "largest"))
        same = smallest == largest
        rows.append([facts["sizes"]["what"], f"{smallest}" if same else f"{smallest} to {largest}, median {median}"])
    if len(counts) > LISTED:
        least, most = min(counts, key=counts.get), max(counts, key=counts.get)
        sizes = f"from '{least}' ({counts[least]:,}) to '{most}' ({counts[most]:,})"
        if counts[least] == counts[most]:
            sizes = f"{counted(counts[most], facts['unit'])} in each"
        rows.append(["classes", f"{len(counts):,}, {sizes}"])
    rows.append(["steps of an epoch", f"{facts['steps_per_epoch']:,}"])
    if facts["baseline"]:
        metric, value, what = (facts["baseline"][name] for name in ("metric", "value", "what"))
        rows.append([f"validation {metric} to beat", f"{value:.4f}: {what}"])
    if facts["licence"]:
        rows.append(["licence", facts["licence"]])
    return rows


def _counts(facts):
    return ", ".join(f"{count:,} {part}" for part, count in facts["counts"].items()) + f" {facts['unit']}"


def _few_steps(steps, epochs):
    if steps < FEW_STEPS:
        few = f"an epoch has only {counted(steps, 'steps')}"
        if epochs is not None:
            updates = f"{verb(epochs, 'are')} {counted(steps * epochs, 'updates')} of the weights"
            few += f", so that {counted(epochs, 'epochs')} {updates}"
        yield f"{few}: if the loss still falls at the end, take more --epochs or smaller batches"
