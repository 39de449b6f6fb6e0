"""Checks before a run is resumed: the data are the same, and there is something left to do.

With --resume, runs.start calls `check` before anything is written, and then `go_on`.
"""

import json

from keras_dl import records
from keras_dl.atomic import write_atomic
from keras_dl.errors import UserError

KEPT_UP_TO_DATE = ("epochs", "save_minutes", "formats", "histograms")  # settings that a resume may change


def check(path, settings, data):
    """Refuse to resume a run with other data, or with a number of epochs that makes no sense.

    Args:
        path: the run's folder.
        settings: {field: value} of the command line.
        data: data.fingerprint of the data as they are now; None: the data are not checked.

    Returns:
        A tuple of sentences for the user.

    Raises:
        UserError: the data are not those of the run, --epochs is below the number that a finished run has trained, or
            above it although the run had stopped early.
    """
    config, notes = records.read(path / "config.json", records.Config), ()
    if data is not None and "data" not in config:
        notes = (f"{path.name} has no fingerprint of its data: whether they are the same cannot be checked.",)
    elif data is not None:
        changes = differences(config["data"], data)
        if changes:
            raise UserError(
                f"--resume: the data of {path.name} have changed ({'; '.join(changes)}). "
                "Start a new run, or put them back."
            )
    epochs, trained, done = settings.get("epochs"), _trained(path), _finished_epochs(path, config)
    if epochs in (None, config["settings"].get("epochs")):
        return notes
    if done is None:
        if epochs < trained:
            notes += (f"--epochs: {path.name} has trained {trained} epochs, more than {epochs}: it ends with those.",)
        return notes
    if epochs < trained:
        raise UserError(f"--epochs: must be at least {trained}, as many as {path.name} has trained; got {epochs}.")
    if trained < done < epochs:
        raise UserError(
            f"--epochs: {path.name} stopped by itself after {trained} of {done} epochs; more would change nothing. "
            "Start a new run with another --patience."
        )
    return notes


def as_trained(path, settings):
    """The settings with `epochs` at least as many as were trained, so that the card states the real number."""
    return settings | {"epochs": max(settings["epochs"], _trained(path))} if "epochs" in settings else settings


def asks_for_more(path, settings):
    """Whether the settings have more epochs than a finished run in `path`, or further export formats."""
    config = records.read(path / "config.json", records.Config)
    done = _finished_epochs(path, config)
    more_epochs = done is not None and settings.get("epochs", done) > done
    return more_epochs or not set(settings.get("formats", ())) <= set(config["settings"].get("formats", ()))


def go_on(path, settings):
    """Write the changed settings to config.json; if a finished run has more to do, delete its finished.json."""
    config = records.read(path / "config.json", records.Config)
    more = asks_for_more(path, settings)
    now = {name: settings[name] for name in KEPT_UP_TO_DATE if name in settings}
    if now != {name: config["settings"].get(name) for name in now}:
        write_atomic(path / "config.json", json.dumps(config | {"settings": config["settings"] | now}, indent=2))
    if more:
        (path / "finished.json").unlink(missing_ok=True)


def differences(before, now):
    """The differences of two fingerprints as texts: ["train: 180 -> 183 examples", "classes: cats -> kittens"]."""
    changes = []
    for part in ("train", "validation", "test"):
        counts = before[part]["examples"], now[part]["examples"]
        if counts[0] != counts[1]:
            changes.append(f"{part}: {counts[0]:,} -> {counts[1]:,} examples")
        elif before[part]["digest"] != now[part]["digest"]:
            changes.append(f"{part}: {counts[0]:,} examples, but not the same")
    gone = [name for name in before["classes"] if name not in now["classes"]]
    new = [name for name in now["classes"] if name not in before["classes"]]
    if gone or new:
        changes.append(f"classes: {', '.join(gone) or 'none'} -> {', '.join(new) or 'none'}")
    elif before["classes"] != now["classes"]:
        changes.append("classes: in another order")
    parts = sorted(before["preprocess"].keys() | now["preprocess"].keys())
    parts = [name for name in parts if before["preprocess"].get(name) != now["preprocess"].get(name)]
    if parts:
        changes.append(f"pre-processing: another {', '.join(parts)}")
    return changes


def _trained(path):
    """Number of epochs in history.csv."""
    file = path / "history.csv"
    return max(0, len(file.read_bytes().splitlines()) - 1) if file.exists() else 0


def _finished_epochs(path, config):
    """Number of epochs that a finished run was given or has trained, the larger; None if not finished or unknown."""
    if not (path / "finished.json").exists():
        return None
    epochs = records.read(path / "finished.json", records.Finished).get("epochs", config["settings"].get("epochs"))
    return None if epochs is None else max(epochs, _trained(path))
