"""Bad inputs for bad_inputs.py: cards of exports, folders of runs and files of data sets, damaged or wrong inside."""

import functools
import os
import shutil

import bad_inputs_fixtures as fixtures
from bad_inputs import BadInput, Fault
from bad_inputs_calls import finite
from bad_inputs_commands import Reached, through_run, trusted

from keras_dl import __main__ as command
from keras_dl import imports

with imports.quiet_tensorflow():
    import keras
    import numpy as np

    from keras_dl import data, export

keras.config.disable_traceback_filtering()


# Cards


def cards(rng, scratch):
    """card.json of each kind of export, and its other files, as show, list and predict read them."""
    shared = scratch.parent / "shared"
    folders, sets = fixtures.exports(shared), fixtures.data_folder(shared)
    given = {
        "pictures": next((sets / "pictures").rglob("*.png")), "music": sets / "pieces" / "0.mid", "text": "the dog",
        "sentences": "a dog",
    }  # fmt: skip
    inputs = []
    for kind, folder in folders.items():
        text = (folder / "card.json").read_text(encoding="utf-8")
        for what, done in fixtures.wrong_documents(rng, text, 45):
            for verb, words in (
                ("show", ["show", "FOLDER"]), ("list", ["list", "--saved-models", "ROOT"]),
                ("predict", ["predict", "FOLDER", str(given[kind])]),
            ):  # fmt: skip
                run = functools.partial(_meet, verb, words, folder, {"card.json": done}, scratch)
                inputs.append(BadInput(f"{verb} card.json", f"{verb} {kind}, card.json: {what}", run, ("card",)))
        for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
            for what, done in rng.sample(fixtures.damaged(rng, (folder / name).read_bytes()), 4):
                words = ["predict", "FOLDER", str(given[kind])]
                run = functools.partial(_meet, "predict", words, folder, {name: done}, scratch)
                inputs.append(BadInput(f"predict {name}", f"predict {kind}, {name}: {what}", run, (name,)))
    return inputs


def _meet(verb, words, folder, files, scratch):
    root = scratch / "saved_models"
    shutil.rmtree(root, ignore_errors=True)
    copy = fixtures.linked(folder, root / "copy" / "1")
    fixtures.linked(folder, root / "other" / "1")
    for name, content in files.items():
        fixtures.replaced(copy / name, content)
    words = [{"FOLDER": str(copy), "ROOT": str(root)}.get(word, word) for word in words]
    with fixtures.loaded_once():
        out = through_run(lambda: command.main(trusted(words)))
    if verb == "list" and str(root / "other" / "1") not in out:
        raise Fault("accepted", "the other export is not listed")


# Runs


def runs(rng, scratch):
    """Every file of a run's folder, as --resume reads it: it is refused, or the run goes on to its export."""
    out = fixtures.a_run(scratch.parent / "shared")
    folder = next((out / "runs" / "classify_images").iterdir())
    main = fixtures.app("classify_images").main
    export.save = _saved  # for this process: a run that comes to its export is good
    inputs = []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            changed = fixtures.wrong_documents(rng, path.read_text(), 60 if name == "config.json" else 30)
        elif path.suffix in (".npz", ".csv"):
            changed = fixtures.damaged(rng, path.read_bytes())
            changed += _wrong_arrays(path) if path.suffix == ".npz" else []
        elif "tfevents" in name:
            changed = rng.sample(fixtures.damaged(rng, path.read_bytes()), 2)
        else:
            continue
        changed += [("gone", None), ("a folder", Ellipsis)]
        for what, done in changed:
            run = functools.partial(_resume, main, folder, name, done, scratch)
            place = f"--resume {path.name if path.suffix == '.json' else path.suffix}"
            inputs.append(BadInput(place, f"--resume, {name}: {what}", run, (path.name, path.parent.name.rstrip("s"))))
    return inputs


def _wrong_arrays(path):
    """A checkpoint that can be read, but has arrays of another shape, type or number."""
    import io

    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    done = []
    for name in list(arrays)[:: max(1, len(arrays) // 8)]:
        others = {
            "another shape": np.zeros((3, 3)), "another type": np.array("x"), "not finite": arrays[name] * np.nan
            if arrays[name].dtype.kind == "f" else np.array(np.nan), "none": None,
        }  # fmt: skip
        for what, other in others.items():
            changed = {key: value for key, value in arrays.items() if key != name} | (
                {} if other is None else {name: other}
            )
            file = io.BytesIO()
            np.savez(file, **changed)
            done.append((f"{name}: {what}", file.getvalue()))
    return done


def _resume(main, folder, name, content, scratch):
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    copy = out / "runs" / "classify_images" / folder.name
    shutil.copytree(folder, copy)
    if name != "finished.json":
        (copy / "finished.json").unlink()
    if content is None:
        (copy / name).unlink(missing_ok=True)
    elif content is Ellipsis:
        (copy / name).unlink(missing_ok=True)
        (copy / name).mkdir()
    else:
        (copy / name).write_bytes(content)
    keras.backend.clear_session()
    try:
        through_run(lambda: main(["--out", str(out), "--resume", folder.name]))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    left = [path.name for path in copy.rglob("*.tmp")]
    if left:
        raise Fault("left", f"half written: {', '.join(left)}")


def _saved(model, *_, **options):
    finite([weight.numpy() for weight in model.weights], "the exported weights")
    finite([value for value in options["metrics"].values() if isinstance(value, float)], "the test metrics")
    raise Reached


# Files of data sets


def files(rng, scratch):
    """Pictures, texts, pairs and pieces that a kind's load reads: one damaged file among good ones, or all of them."""
    good = fixtures.data_folder(scratch.parent / "shared")
    pictures = sorted((good / "pictures").rglob("*.png"))
    os.chdir(scratch)
    inputs = []

    def add(place, what, change, *, kind, name, **options):
        run = functools.partial(_load, good, scratch / "set", change, kind, name, options)
        inputs.append(BadInput(f"{kind}.load {place}", f"{place}: {what}", run, ()))

    def write(path, done):
        return functools.partial(_write, path, done)

    first = pictures[0].relative_to(good)
    encoded = {"png": pictures[0].read_bytes()}
    for suffix in ("jpg", "gif", "bmp", "webp", "tif"):
        file = scratch / f"good.{suffix}"
        fixtures.Image.open(pictures[0]).save(file)
        encoded[suffix] = file.read_bytes()
    for suffix, content in encoded.items():
        for what, done in fixtures.damaged(rng, content):
            for skip in (False, True):
                path = first.with_name(f"a-{suffix}.{suffix}")
                add(f"pictures {suffix}", what, write(path, done), kind="images", name="pictures", skip_unreadable=skip)
    for w, h in ((0, 5), (5, 0), (2**31 - 1, 1), (60_000, 60_000), (9000, 9000)):
        add("pictures png", f"{w} x {h}", write(first, fixtures.a_png(w, h)), kind="images", name="pictures")
    piece = (good / "pieces" / "0.mid").read_bytes()
    for _ in range(4):
        for what, done in fixtures.damaged(rng, piece):
            for skip in (False, True):
                add("pieces", what, write("pieces/0.mid", done), kind="music", name="pieces", skip_unreadable=skip)
    for name, kind, options in (("a.txt", "text", {}), ("a.en", "pairs", {"target": "a.de", "vocabulary_size": 60})):
        for what, done in fixtures.damaged(rng, (good / name).read_bytes()):
            add(name, what, write(name, done), kind=kind, name=name, **options)
    names = (
        "\udcff",
        "x" * 255,
        "a\nb",
        "\x1b[31m",
        "Thumbs.db",
        ".hidden",
        "[a]",
        "con\\x",
        "train",
        "Test",
        "val",
        " ",
    )
    for name in names:
        for content in (None, b"", encoded["png"]):
            what = f"{name!r}, {'a folder' if content is None else f'{len(content)} bytes'}"
            for kind, place in (("images", "pictures"), ("music", "pieces")):
                add(f"{place} names", what, write(f"{place}/{name}", content), kind=kind, name=place)
                if content is not None:
                    inner = f"{place}/{name}/a.png"
                    add(f"{place} names", f"in {what}", write(inner, content), kind=kind, name=place)
    for kind, place in (("images", "pictures"), ("music", "pieces"), ("text", "a.txt"), ("text", "."), ("images", ".")):
        add(f"{kind} links", "to itself", functools.partial(_link, f"{place}/loop", "loop"), kind=kind, name=place)
        add(f"{kind} links", "to its parent", functools.partial(_link, f"{place}/up", ".."), kind=kind, name=place)
        add(
            f"{kind} links",
            "to nothing",
            functools.partial(_link, f"{place}/gone.png", "/nosuch"),
            kind=kind,
            name=place,
        )
        add(f"{kind} empty", "no file", functools.partial(_emptied, place), kind=kind, name=place)
        add(f"{kind} fifo", "a pipe", functools.partial(_pipe, f"{place}/a.png"), kind=kind, name=place)
    for path in fixtures.strange_paths(scratch):
        for kind, options in (
            ("images", {}),
            ("music", {}),
            ("text", {}),
            ("pairs", {"target": "a.de"}),
            ("pairs", {}),
        ):
            add(f"{kind} path", repr(path[-40:]), lambda root: None, kind=kind, name=path, **options)
    return inputs


def _load(good, place, change, kind, name, options):
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(good, place)
    with_files = {key: str(place / value) if key == "target" else value for key, value in options.items()}
    path = str(place / name) if name in (*os.listdir(good), ".") else name
    try:
        change(place)
    except OSError:
        return  # this file system has no such name
    splits = getattr(data, kind).load(path, 0, **with_files)
    for note in splits.notes:
        if "\n" in note:
            raise Fault("lines", note)
    if not len(splits.train):
        raise Fault("accepted", "there is no training example")
    if kind == "images":
        batches = data.batches(splits.train, 8, collate=data.images.with_labels(splits.preprocess))
        finite(next(iter(batches.dataset())), "the first batch's values")


def _write(path, content, root):
    place = root / path
    if content is None:
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _link(path, target, root):
    (root / path).symlink_to(target)


def _pipe(path, root):
    os.mkfifo(root / path)


def _emptied(path, root):
    place = root / path
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    if path != ".":
        place.mkdir() if "." not in path else place.touch()
