"""Checks before a run is resumed: the data are the same, and there is something left to do.

With --resume, runs.start calls `check` before anything is written, and then `go_on`.
"""

import json

from keras_dl import histories, json_files, records
from keras_dl.atomic import write_atomic
from keras_dl.errors import UserError
from keras_dl.wording import counted

KEPT_UP_TO_DATE = ("epochs", "save_minutes", "formats", "histograms", "patience")  # settings that a resume may change


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
            above it although the run had stopped early and is given no more patience, or its checkpoints are gone.
    """
    config, notes = json_files.read(path / "config.json", records.Config), ()
    if data is not None and "data" not in config:
        notes = (f"{path.name} has no fingerprint of its data: whether they are the same cannot be checked.",)
    elif data is not None:
        changes = differences(config["data"], data)
        if changes:
            raise UserError(
                f"--resume: the data of {path.name} have changed ({'; '.join(changes)}). "
                "Start a new run, or put them back."
            )
    before = config.get("settings", {})
    epochs, trained, done = settings.get("epochs"), histories.epochs(path), _finished_epochs(path, config)
    patient = more_patient(before.get("patience"), settings.get("patience"))
    if done is not None and _goes_further(epochs, trained, done, patient) and not any(path.glob("checkpoints/*.npz")):
        raise UserError(
            f"--epochs: {path.name} has no checkpoint from which to go on. Start a new run from its export with --init."
        )
    if epochs in (None, before.get("epochs")):
        return notes
    if done is None:
        if epochs < trained:
            so_far = counted(trained, "epochs")
            notes += (f"--epochs: {path.name} has trained {so_far}, more than {epochs}: it ends with those.",)
        return notes
    if epochs < trained:
        raise UserError(f"--epochs: must be at least {trained}, as many as {path.name} has trained; got {epochs}.")
    if trained < done < epochs and not patient:
        patience = before.get("patience", 0)
        more = f"Give more --patience than {patience} with it (0: it never stops), or start" if patience else "Start"
        raise UserError(
            f"--epochs: {path.name} stopped by itself after {trained} of {counted(done, 'epochs')}; more would change "
            f"nothing. {more} a new run from its weights with --init {path.name}."
        )
    return notes


def more_patient(before, now):
    """Whether a --patience stops later than the one before; 0 never stops. Neither may be given: None."""
    return bool(before) and now is not None and (now == 0 or now > before)


def as_trained(path, settings):
    """The settings with `epochs` at least as many as were trained, so that the card states the real number."""
    return settings | {"epochs": max(settings["epochs"], histories.epochs(path))} if "epochs" in settings else settings


def asks_for_more(path, settings):
    """Whether a finished run in `path` would train further with the settings, or they have further export formats."""
    config = json_files.read(path / "config.json", records.Config)
    done, patience = _finished_epochs(path, config), config["settings"].get("patience")
    patient = more_patient(patience, settings.get("patience"))
    more_epochs = done is not None and _goes_further(settings.get("epochs"), histories.epochs(path), done, patient)
    return more_epochs or not set(settings.get("formats", ())) <= set(config["settings"].get("formats", ()))


def go_on(path, settings):
    """Write the changed settings to config.json; if a finished run has more to do, delete its finished.json."""
    config = json_files.read(path / "config.json", records.Config)
    more = asks_for_more(path, settings)
    now = {name: settings[name] for name in KEPT_UP_TO_DATE if name in settings}
    changed = {name for name in now if now[name] != config["settings"].get(name)}
    if changed:
        config["settings"] |= now
        if chosen := config.get("chosen"):  # what is given now was not chosen
            chosen["values"] = {name: value for name, value in chosen["values"].items() if name not in changed}
        write_atomic(path / "config.json", json.dumps(config, indent=2))
    if more:
        (path / "finished.json").unlink(missing_ok=True)


def differences(before, now):
    """The differences of two fingerprints as texts: ["train: 180 -> 183 examples", "classes: cats -> kittens"]."""
    changes = []
    for part in ("train", "validation", "test"):
        counts = before[part]["examples"], now[part]["examples"]
        if counts[0] != counts[1]:
            changes.append(f"{part}: {counts[0]:,} -> {counted(counts[1], 'examples')}")
        elif before[part]["digest"] != now[part]["digest"]:
            changes.append(f"{part}: {counted(counts[0], 'examples')}, but not the same")
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


def _goes_further(epochs, trained, done, patient):
    """Whether a finished run would train further: with more epochs, or more patience after it had stopped early.

    Args:
        epochs: of the command line, or None.
        trained, done: epochs that the run has trained, and that it was given.
        patient: whether --patience was raised.
    """
    epochs = done if epochs is None else epochs
    return epochs > done or (patient and trained < min(done, epochs))


def _finished_epochs(path, config):
    """Number of epochs that a finished run was given or has trained, the larger; None if not finished or unknown."""
    if not (path / "finished.json").exists():
        return None
    epochs = json_files.read(path / "finished.json", records.Finished).get("epochs", config["settings"].get("epochs"))
    return None if epochs is None else max(epochs, histories.epochs(path))
