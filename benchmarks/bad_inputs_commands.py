"""Bad inputs for bad_inputs.py: command lines of the apps and of `python -m keras_dl`, and files given to predict.

A command line runs in this process, through command_line.run as from a shell. An app runs until its training, where two
steps on the first batches must give a finite loss. After a refusal no file may be left behind.
"""

import contextlib
import dataclasses
import functools
import io
import math
import os
import shutil
import sys
from pathlib import Path

import bad_inputs_fixtures as fixtures
from bad_inputs import BadInput, Fault

from keras_dl import __main__ as command
from keras_dl import command_line, imports
from keras_dl.arguments import AUTO

with imports.quiet_tensorflow():
    import keras
    import numpy as np

    from keras_dl import models, training, tuning

keras.config.disable_traceback_filtering()

WORDS = (
    "", "nan", "inf", "-inf", "-1", "0", "1e20", "1e400", "-0.0", "99999999999999999999", "9" * 400, "abc", "1.5",
    "2147483648", "True", "None", "²", "1_000", "0x10", " 3", "٣", "--", "-", "a=b", "\N{FACE WITH TEARS OF JOY}",
    "\udcff", "x" * 300, "../..", "/dev/null", "[ab]*", "~nobody/x", "a\nb", "con\x1b[31m", "(", "(1,", "{}", "3;4",
)  # fmt: skip
SETTINGS = (
    "", "0", "-1", "nan", "1e20", "1e400", "2**63", "9223372036854775808", "99999999999999999999999", "None", "True",
    "False", "()", "(0,)", "(-1,)", "(2.5,)", "('a',)", "(None,)", "((8,),)", "[]", "{}", "{[]: 1}", "x", "'x'", "\"",
    "(", "1 +", "-" * 2000 + "1", "(" * 300 + ")" * 300, "lambda: 0", "__import__('os')", "b'a'", "1j", "...", "²",
    "\x00", "\udcff", "{1: 2, **{}}", "1_0", "9" * 5000, "1.5", "'a' 'b'", "[1]*9", "-True",
)  # fmt: skip
APPS = {  # name -> flags that make it small; D is the folder of the data
    "classify_images": "--model linear --dataset digits",
    "autoencode_images": "--image-size 8 --set units=(4,) --set latent_dim=2",
    "model_images": "--model pixelcnn --image-size 8 --set num_blocks=1 --set filters=4",
    "model_audio": "--set dilations=(1,2) --set num_blocks=1 --set filters=4 --set skip_filters=4",
    "segment": "--set filters=(4,4) --set depth=(1,1)",
    "model_music": "--dataset D/pieces --set units=(4,) --set implementation=scan",
    "model_text": "--dataset D/a.txt --set units=(4,) --set implementation=scan --prime the --batch-size 2",
    "translate": "--source D/a.en --target D/a.de --vocabulary-size 40 --set num_layers=1 --set hidden_dim=8 "
    "--set intermediate_dim=8 --set num_heads=2",
}
EACH = 5  # words given to a flag
ALWAYS = ("--trials", "0", "--epochs", "1", "--device", "cpu")


class Reached(Exception):
    """Raised where an app's command line is right: the app has reached its training."""


def apps(rng, scratch):
    """Words for every flag of every app, values for every argument of every architecture, and unknown flags."""
    folder = fixtures.data_folder(scratch.parent / "shared")
    tuning.search, training.fit = _search, _fit  # for this process: what runs here is not trained
    os.chdir(scratch)
    inputs = []
    for name, flags in APPS.items():
        module = fixtures.app(name)
        base = flags.replace("D/", f"{folder}/").split() + list(ALWAYS)

        def add(*words, module=module, base=base, name=name):
            run = functools.partial(_run_app, module.main, base, words, scratch, module.Config)
            parts = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
            about = tuple(part.strip("-").partition("=")[0].strip() or part for part in parts)
            flag = words[0].partition("=")[0]
            inputs.append(BadInput(f"{name} {flag}", f"apps/{name}.py {' '.join(map(repr, words))}", run, about))

        for field in dataclasses.fields(module.Config):
            flag = f"--{field.name.replace('_', '-')}"
            for word in rng.sample(WORDS, EACH):
                add(flag, word)
            add(f"{flag}={rng.choice(WORDS)}")
            add(flag[:-1] if len(flag) > 4 else f"{flag}s", "1")
        add("--help")
        add("nosuch")
        add("--set")
        add("--resume", "--resume")
        for architecture in module.Config.__annotations__["model"].__args__:
            if architecture == AUTO:
                continue
            for argument in models.free_arguments(architecture):
                for text in rng.sample(SETTINGS, 8):
                    add("--model", architecture, "--set", f"{argument}={text}")
        for text in SETTINGS:
            add("--set", text)
    return inputs


def _run_app(main, base, words, scratch, config):
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    if "--model" in words:  # its own arguments alone
        base = [w for at, w in enumerate(base) if w != "--set" and (not at or base[at - 1] != "--set")]
    place = [] if words[0].startswith(("--out", "--ou")) else ["--out", str(out)]
    keras.backend.clear_session()
    before = set(os.listdir(scratch))
    try:
        through_run(lambda: main([*base, *place, *words]))
    except ValueError:
        left = sorted(set(os.listdir(scratch)) - before)
        if left:
            raise Fault("left", f"the refused command left {', '.join(left)}") from None
        raise
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
        shutil.rmtree(out, ignore_errors=True)
        for name in set(os.listdir(scratch)) - before:
            shutil.rmtree(scratch / name, ignore_errors=True)
    kinds = {f"--{field.name.replace('_', '-')}": field.type for field in dataclasses.fields(config)}
    for flag, word in zip(words, words[1:], strict=False):
        if kinds.get(flag) is float:
            with contextlib.suppress(ValueError):
                if not math.isfinite(float(word)):
                    raise Fault("accepted", f"{flag} {word} was taken")


def _search(compiled, train, *_, **__):
    _two_steps(compiled(tuning.defaults()), train)


def _fit(model, train, *_, **__):
    _two_steps(model, train)


def _two_steps(model, train):
    """Two steps of training; a loss that is not finite shows that a value does not work."""
    model.run_eagerly, model.jit_compile = True, False
    for x, y, *weight in train.dataset().take(2):
        loss = model.train_on_batch(x, y, *weight)
        if not np.isfinite(np.asarray(loss, "float64")).all():
            raise Fault("accepted", f"the loss of the first steps is {loss}")
    raise Reached


def through_run(main):
    """Call `main` as an app's last line does. Raises the ValueError that was printed in one line, or another error."""
    raised, out, err = [], io.StringIO(), io.StringIO()

    def noting():
        try:
            main()
        except Reached:
            return
        except BaseException as error:
            raised.append(error)
            raise

    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line.run(noting)
    except SystemExit as stop:
        if stop.code not in (0, None, 2):
            raise
        if stop.code == 2:
            lines = err.getvalue().strip().split("\n")
            if len(lines) != 1 or not lines[0]:
                raise Fault("lines", " / ".join(lines)[:300]) from None
            if isinstance(raised[0], ValueError):
                raise raised[0] from raised[0].__cause__
    strange = sorted({c for c in out.getvalue() + err.getvalue() if (ord(c) < 32 and c not in "\n\t") or c == "\x7f"})
    if strange:
        raise Fault("printed", f"control characters {strange}")
    return out.getvalue()


# python -m keras_dl


def commands(rng, scratch):
    """Words where a command, an export, an endpoint, a value or a file is expected."""
    folders = fixtures.exports(scratch.parent / "shared")
    os.chdir(scratch)
    (scratch / "saved_models").mkdir(exist_ok=True)
    inputs, some = [], [str(folder) for folder in folders.values()]
    odd = [*WORDS, *fixtures.strange_paths(scratch), "saved_models", some[0] + "0", str(Path(some[0]).parent.parent)]
    for word in odd:
        for words in (
            [word], ["list", word], ["list", "--saved-models", word], ["show", word], ["predict", word],
            ["predict", word, "x.png"], ["show", some[0], word], ["predict", some[0], word, "--endpoint", "serve"],
            ["predict", some[2], "the", "--endpoint", word], ["predict", some[2], "the", "--set", word],
            ["predict", some[2], "the", "--endpoint", "generate", "--set", f"temperature={word}"],
            ["predict", some[2], "the", "--out", word], ["predict", some[2], "the", "--out", word + ".json"],
            ["--" + word, some[0]],
        ):  # fmt: skip
            inputs.append(_command(words, scratch))
    for scalar in ("length", "temperature", "top_k", "top_p", "seed", "nosuch"):
        for text in SETTINGS:
            words = ["predict", some[2], "the", "--endpoint", "generate", "--set", f"{scalar}={text}"]
            inputs.append(_command(words, scratch))
    for text in SETTINGS:
        for endpoint, scalar in (("translate", "length_penalty"), ("sample", "temperature"), ("sample", "top_p")):
            words = ["predict", some[3], "a dog", "--endpoint", endpoint, "--set", f"{scalar}={text}"]
            inputs.append(_command(words, scratch))
    return inputs


def _command(words, scratch, stdin=b"the dog\n", place=None, about=()):
    verb = words[0] if words[0] in ("list", "show", "predict") else "-"
    flag = next((word for word in words if word.startswith("--") and word != "--"), "")
    run = functools.partial(_run_command, words, scratch, stdin)
    shown = " ".join(repr(Path(w).name if w.startswith("/") else w) for w in words)
    return BadInput(place or f"{verb} {flag}"[:40], f"python -m keras_dl {shown}", run, tuple(about))


def _run_command(words, scratch, stdin):
    if "out.json" in words or "--out" in words:
        (scratch / "folder").mkdir(exist_ok=True)
    kept, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with fixtures.loaded_once():
            return through_run(lambda: command.main(trusted(words)))
    finally:
        sys.stdin = kept


def trusted(words):
    """The words, with --trust for predict, which loads another user's export or a changed card only with it."""
    return [*words, "--trust"] if words[0] == "predict" else words


# predict: files


def predict(rng, scratch):
    """Damaged files, and files of another kind, for every endpoint that reads files."""
    folders = fixtures.exports(scratch.parent / "shared")
    data = fixtures.data_folder(scratch.parent / "shared")
    place = scratch / "files"
    place.mkdir(exist_ok=True)
    goods = {
        "png": next((data / "pictures").rglob("*.png")).read_bytes(),
        "mid": (data / "pieces" / "0.mid").read_bytes(),
    }
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    for suffix in ("jpg", "gif", "bmp", "webp", "tif"):
        file = place / f"good.{suffix}"
        fixtures.Image.fromarray(pixels).save(file)
        goods[suffix] = file.read_bytes()
    texts = {"txt": b"the dog\nruns\n", "en": b"a dog\ta house\nhe sees\tdogs\n"}
    asks = {
        "pictures": [[], ["--endpoint", "serve"]], "music": [[], ["--endpoint", "generate"]],
        "text": [[], ["--endpoint", "generate"]], "sentences": [[], ["--endpoint", "score"], ["--endpoint", "sample"]],
    }  # fmt: skip
    inputs = []
    for kind, folder in folders.items():
        own = {"pictures": [s for s in goods if s != "mid"], "music": ["mid"]}.get(kind, list(texts))
        files = [
            (f"{s}: {what}", place / f"{kind}-{s}-{n}.{s}", done)
            for s in own
            for n, (what, done) in enumerate(fixtures.damaged(rng, (goods | texts)[s]))
        ]
        if kind == "pictures":
            sizes = ((1, 1), (0, 5), (5, 0), (2**31 - 1, 1), (60_000, 60_000), (9000, 9000), (2**32 - 1, 2**32 - 1))
            files += [(f"png of {w} x {h}", place / f"{w}-{h}.png", fixtures.a_png(w, h)) for w, h in sizes]
        if kind in ("text", "sentences"):
            lines = {
                "a long line": b"a" * 100_000, "a thousand lines": b"a dog\n" * 1000, "empty lines": b"\n" * 50,
                "NUL": b"a\x00b\n", "spaces": b"   \t \n", "CR": b"a\rb\r", "line separator": "a\u2028b".encode(),
                "surrogate": b"\xed\xa0\x80", "other letters": "日本語\n".encode(), "replacement": "\ufffd".encode(),
                "tabs": b"a\tb\tc\n", "escape": b"\x1b[31m\n",
            }  # fmt: skip
            files += [(what, place / f"{kind}-{n}.txt", done) for n, (what, done) in enumerate(lines.items())]
        for what, path, done in files:
            path.write_bytes(done)
            for ask in asks[kind]:
                words = ["predict", str(folder), str(path), *ask]
                inputs.append(_asked(kind, ask, f"a file, {what}", words, scratch, path.name))
                if kind in ("text", "sentences"):
                    words = ["predict", str(folder), "-", *ask]
                    inputs.append(_asked(kind, ask, f"standard input, {what}", words, scratch, "", done))
        for name in [*fixtures.strange_paths(scratch), *(str(place / f"good.{s}") for s in ("jpg", "gif")), str(data)]:
            for ask in asks[kind]:
                words = ["predict", str(folder), name, *ask]
                inputs.append(_asked(kind, ask, f"INPUT {name[-40:]!r}", words, scratch))
    return inputs


def _asked(kind, ask, what, words, scratch, name="", stdin=b""):
    command = _command(words, scratch, stdin, place=f"predict {kind} {' '.join(ask[1:])}".strip())
    return dataclasses.replace(command, text=f"{what} {' '.join(ask)}", names=(name,) if name else ())
