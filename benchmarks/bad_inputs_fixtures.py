"""What the parts of bad_inputs.py share: small data, a small export of each kind, a small run, damaged files.

They are created once, in a folder that all workers use: the first worker creates them, the others wait for its lock.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import struct
import sys
import zlib
from pathlib import Path

from keras_dl import imports, runs
from keras_dl.features import sound
from keras_dl.features.piano_roll import PianoRoll
from keras_dl.features.tokens import Tokens

with imports.quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    from keras_dl import export, models
    from keras_dl.data.images import Preprocess
    from keras_dl.features.subwords import SPECIAL, WORD, Subwords

ROOT = Path(__file__).resolve().parent.parent
SIDE = 8  # pixels of a picture
CLASSES = ("one", "two", "three")
SENTENCES = ["a dog runs", "two men see a dog", "she reads", "the men run to a house", "he sees two dogs", "a house"]


@contextlib.contextmanager
def once(folder):
    """Within it, True for the one process that has to create `folder`; the others wait, and get False."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = folder / "whole"
        yield not whole.exists()
        whole.touch()


def data_folder(shared):
    """Folder with pictures/, pieces/, a.txt, a.en and a.de: a data set of each kind of task."""
    folder = shared / "data"
    with once(folder) as first:
        if first:
            _write_data(folder)
    return folder


def _write_data(folder):
    rng = np.random.default_rng(0)
    for name in CLASSES[:2]:
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            save_picture(folder / "pictures" / name / f"{number}.png", rng)
    (folder / "pieces").mkdir()
    for number in range(6):
        sound.write_midi(a_roll(rng), folder / "pieces" / f"{number}.mid", steps_per_beat=4, beats_per_minute=120)
    (folder / "a.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 100)
    sources = [f"{a} and {b}" for a in SENTENCES for b in SENTENCES] * 3
    (folder / "a.en").write_text("\n".join(sources) + "\n")
    (folder / "a.de").write_text("\n".join(line.upper().lower() + " x" for line in sources) + "\n")


def save_picture(path, rng):
    Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)).save(path)


def a_roll(rng):
    """uint8 (8, 88) with some notes in the middle of the keyboard."""
    roll = np.zeros((8, 88), np.uint8)
    roll[rng.integers(0, 8, 6), rng.integers(30, 50, 6)] = 1
    roll[:, 39] = 1
    return roll


def exports(shared):
    """{"pictures", "music", "text", "sentences": version folder of a small export}."""
    root = shared / "exports"
    names = ("pictures", "music", "text", "sentences")
    with once(root) as first:
        if first:
            for name in names:
                _export(name, root)
    return {name: root / "saved_models" / name / "1" for name in names}


def _export(name, root):
    keras.utils.set_random_seed(0)
    run = runs.Run(path=root / "runs" / "bad_inputs" / name, root=root, name=name, app="bad_inputs")
    if name == "pictures":
        model = models.build_linear((SIDE, SIDE, 3), len(CLASSES))
        preprocess = Preprocess((SIDE, SIDE, 3), (100.0,) * 3, (60.0,) * 3, 10.0)
        ends = export.classifier(model, preprocess, CLASSES)
    elif name == "music":
        model, preprocess = models.build_lstm(units=(4,)), PianoRoll()
        prime = np.stack([a_roll(np.random.default_rng(n)) for n in range(2)])
        ends = export.polyphony(model, preprocess, prime, steps_per_beat=4, length=8)
    elif name == "text":
        preprocess = Tokens.of("the quick brown fox jumps over the lazy dog\n", "character")
        model = models.build_lstm((None,), len(preprocess.vocabulary), units=(4,))
        ends = export.language_model(model, preprocess, "the ", 9)
    else:
        preprocess = Subwords((*SPECIAL, "do", f"{WORD}a", WORD, *"abcdefghijklmnopqrstuvwxyz"))
        sizes = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16, "num_heads": 2}
        model = models.build_transformer(len(preprocess.pieces), **sizes)
        ends = export.translation(model, preprocess, (SENTENCES[:2], SENTENCES[2:4]), width=2)
    export.save(model, run, endpoints=ends, metrics={"nats": 1.0})


def a_run(shared):
    """Folder that --out names, with the finished run runs/classify_images/linear-digits-1."""
    out = shared / "run"
    with once(out) as first:
        if first:
            flags = "--model linear --trials 1 --trial-epochs 1 --epochs 2 --batch-size 500 --device cpu"
            app("classify_images").main([*flags.split(), "--out", str(out)])
    return out


def app(name):
    """An app's file as a module: tyro looks for a Config's comments in the file of its module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "apps" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def loaded_once():
    """Within it, a SavedModel is loaded only once, also where copies of its folder share its files by hard links."""
    load, loaded = tf.saved_model.load, {}

    def from_memory(path, *rest, **options):
        file = Path(path) / "saved_model.pb"
        key = file.stat().st_ino if file.is_file() and file.stat().st_nlink > 1 else None
        if key is None:
            return load(path, *rest, **options)
        if key not in loaded:
            loaded[key] = load(path, *rest, **options)
        return loaded[key]

    tf.saved_model.load = from_memory
    try:
        yield
    finally:
        tf.saved_model.load = load


def linked(folder, copy):
    """A copy of a folder whose files are hard links."""
    for path in sorted(folder.rglob("*")):
        place = copy / path.relative_to(folder)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
    return copy


def replaced(path, data):
    """Write a file again without changing another one to which it may be a hard link."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def damaged(rng, data):
    """[(what was done, bytes)] of a file's bytes: cut, with flipped bits, empty, doubled, or of another kind."""
    done = [("empty", b""), ("one byte", data[:1]), ("zeros", bytes(len(data))), ("doubled", data + data)]
    done += [("text", b"hello\n"), ("not UTF-8", b"\xff\xfe\x00\xd8"), ("newline", b"\n"), ("null", b"null")]
    done += [("a page", b"<!DOCTYPE html><html><body>404</body></html>"), ("with a BOM", b"\xef\xbb\xbf" + data)]
    for _ in range(8):
        end = rng.randrange(len(data))
        done.append((f"cut at {end}", data[:end]))
    for _ in range(12):
        flipped, places = bytearray(data), [rng.randrange(len(data)) for _ in range(rng.choice((1, 1, 3, 20)))]
        for place in places:
            flipped[place] = rng.randrange(256)
        done.append((f"bytes {places} changed", bytes(flipped)))
    start, end = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    done += [(f"without {start} to {end}", data[:start] + data[end:]), ("reversed", data[::-1])]
    return done


def wrong_documents(rng, text, count):
    """[(what was done, bytes)] of a JSON file's text: damaged as any file, or valid JSON with wrong content."""
    done = damaged(rng, text.encode())
    document, paths = json.loads(text), []

    def walk(value, path):
        paths.append(path)
        for key in value if isinstance(value, dict) else range(min(3, len(value))) if isinstance(value, list) else ():
            walk(value[key], (*path, key))

    walk(document, ())
    strange = [
        None, True, 0, -1, 1.5, 1e400, float("nan"), 10**30, "", "x", "\x1b[31mred\x07", "../..", "x" * 3000, [], {},
        [None], {"a": 1}, [[[]]], "a\nb", [1, "a"], "\ud800",
    ]  # fmt: skip
    for _ in range(count):
        path = rng.choice(paths)
        other, how = json.loads(text), rng.choice(("replace", "replace", "replace", "remove", "rename"))
        if not path:
            other, what = rng.choice(strange), "the whole"
        else:
            inner = other
            for key in path[:-1]:
                inner = inner[key]
            what = "/".join(map(str, path))
            if how == "replace":
                inner[path[-1]] = rng.choice(strange)
                how = f"becomes {inner[path[-1]]!r}"[:60]
            else:
                value = inner.pop(path[-1])
                if how == "rename" and isinstance(inner, dict):
                    inner[f"{path[-1]}_"] = value
        done.append((f"{what} {how}", json.dumps(other).encode("utf-8", "surrogatepass")))
    deep = "[" * 100_000 + "]" * 100_000
    done += [
        ("deeply nested", deep.encode()),
        ("a deep field", text.rstrip()[:-1].encode() + f', "z": {deep}}}'.encode()),
    ]
    done.append(("keys twice", text.rstrip()[:-1].encode() + b", " + text.lstrip()[1:].encode()))
    return done


def a_png(width, height):
    """A PNG whose header claims this size, with almost no pixels behind it."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def strange_paths(scratch):
    """Names that no file can have, and names of files that do not exist."""
    (scratch / "folder").mkdir(exist_ok=True)
    loop = scratch / "loop"
    if not loop.is_symlink():
        loop.symlink_to(loop)
    if not (scratch / "fifo").exists():
        os.mkfifo(scratch / "fifo")
    names = (
        "folder",
        "loop",
        "fifo",
        "nosuch.png",
        "nosuch.mid",
        "nosuch.txt",
        "nosuch",
        "x" * 300,
        "a\nb",
        "[a]*",
        "",
    )
    return [*(str(scratch / name) for name in names), "", "/dev/null", "/dev/zero", "~nobody/x", "\udcff.png", "-", "."]
