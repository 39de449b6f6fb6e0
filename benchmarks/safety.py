"""Peak memory and time of hostile inputs: files made to exhaust memory, and the largest requests of each endpoint.

    python benchmarks/safety.py png
    python benchmarks/safety.py music_score

The models are those that the apps train by default, exported by the apps themselves after a smoke run: architecture and
sizes are the defaults, the weights are hardly trained. A file is sent in every way in which one can be given: to the
served endpoint, through `predict`, and in a folder of training data. An endpoint's largest requests follow from the
limits in its card. Each case has a process of its own, which loads the model, answers a small request first, and then
resets the kernel's record of its highest resident size (VmHWM). The peak is that record minus the resident size at that
moment, so that the request and the answer are counted. A row's figures are the worst of its cases; the details say
which of them were refused.
"""

import argparse
import contextlib
import ctypes
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import bombs
import largest_requests
import numpy as np

from keras_dl.errors import UserError
from keras_dl.features import sound
from keras_dl.features.audio_files import write_wav

ROOT = Path(__file__).resolve().parent.parent
MOST_MEMORY = 6_000  # MB at which a case is ended, so that the machine stays usable
PATIENCE = 180  # seconds after which a case is ended
MB = 1e6
BOMBS = ("webp", "gif_screen", "gif_frames", "png", "jpeg", "midi")
ENDPOINTS = {  # row: (app, endpoint)
    "image_bytes": ("classify_images", "serving_default"),
    "image": ("classify_images", "serve"),
    "text_score": ("model_text", "score"),
    "text_generate": ("model_text", "generate"),
    "music_score": ("model_music", "score"),
    "music_generate": ("model_music", "generate"),
    "translate": ("translate", "translate"),
    "translation_sample": ("translate", "sample"),
    "translation_score": ("translate", "score"),
    "density_image_bytes": ("model_images", "serving_default"),
    "density_log_prob": ("model_images", "log_prob"),
    "density_sample": ("model_images", "sample"),
    "density_complete": ("model_images", "complete"),
    "latent_image_bytes": ("autoencode_images", "serving_default"),
    "latent_encode": ("autoencode_images", "encode"),
    "latent_decode": ("autoencode_images", "decode"),
    "latent_sample": ("autoencode_images", "sample"),
    "latent_reconstruct": ("autoencode_images", "reconstruct"),
    "latent_log_prob": ("autoencode_images", "log_prob"),
    "gan_sample": ("gan_images", "sample"),
    "audio_bytes": ("model_audio", "serving_default"),
    "audio_score": ("model_audio", "score"),
    "audio_sample": ("model_audio", "sample"),
    "audio_generate": ("model_audio", "generate"),
    "mask_image_bytes": ("segment", "serving_default"),
    "mask_image": ("segment", "serve"),
    "mask_probabilities": ("segment", "probabilities"),
}
ROWS = (*BOMBS, *ENDPOINTS)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("row", choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--json", type=Path, help="write the result there")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="keras_dl-safety-") as folder:
        cases = measure(asked.row, exported(app_of(asked.row), Path(folder)))
    for case, result in cases.items():
        print(f"{asked.row}, {case}: {result['peak_mb']:,.0f} MB, {result['seconds']:.1f} s, {result['outcome']}")
    if asked.json:
        metrics = {name: max(result[name] for result in cases.values()) for name in ("peak_mb", "seconds")}
        details = {"model": f"{app_of(asked.row)}'s default, hardly trained"}
        if asked.row in ENDPOINTS:  # cards look for these
            details["app"], details["endpoint"] = ENDPOINTS[asked.row]
        details |= cases
        asked.json.write_text(json.dumps({"metrics": metrics, "details": details}, indent=2))


def app_of(row):
    """The app whose export answers a row's requests."""
    if row in ENDPOINTS:
        return ENDPOINTS[row][0]
    return "model_music" if row == "midi" else "classify_images"


def exported(app, folder):
    """The export that an app writes by default, after the short training of --smoke."""
    done = subprocess.run(
        [sys.executable, ROOT / "apps" / f"{app}.py", "--smoke", "--trials", "0", "--out", folder],
        capture_output=True, text=True, cwd=ROOT, env=_environment(),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"safety: {app} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return next((folder / "saved_models").glob("*/1"))


def measure(row, export):
    """{case: {"peak_mb", "seconds", "outcome"}} of all cases of a row.

    Raises:
        UserError: an endpoint refuses all requests that should be the largest that it accepts.
    """
    with tempfile.TemporaryDirectory(prefix="keras_dl-safety-") as folder:
        if row in BOMBS:
            suffix, data = getattr(bombs, row)()
            (Path(folder) / f"bomb{suffix}").write_bytes(data)
            ways = ("predict", "generate", "training") if row == "midi" else ("served", "predict", "serve", "training")
        else:
            card = json.loads((export / "card.json").read_text())
            ways = list(largest_requests.REQUESTS[row](card))
        cases = {way: _in_a_process(row, way, export, folder) for way in ways}
    if row in ENDPOINTS and all(result["outcome"].startswith("refused") for result in cases.values()):
        raise UserError(f"safety: {row} refuses all of its largest requests: {cases}.")
    return cases


def _in_a_process(row, way, export, folder):
    """What a case costs: {"peak_mb", "seconds", "outcome"}."""
    report = Path(folder) / "report.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--case", row, way, str(export), str(folder), str(report)]
    with open(Path(folder) / "said.txt", "w+") as said:
        child = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=said, stderr=said)
        ended, began = "", time.monotonic()
        while child.poll() is None:
            time.sleep(0.05)
            used = _resident(child.pid)
            if used > MOST_MEMORY or time.monotonic() - began > PATIENCE:
                ended = f"ended by us at {used:,.0f} MB after {time.monotonic() - began:.0f} s"
                child.kill()
                child.wait()
                return {"peak_mb": used, "seconds": time.monotonic() - began, "outcome": ended}
        if not report.exists():
            said.seek(0)
            raise RuntimeError(f"safety: {row}, {way} ended with {child.returncode}:\n{said.read()[-4000:]}")
    return json.loads(report.read_text())


def _case(row, way, export, folder, report):
    """The process of one case: warm up, reset the record, send the request, report."""
    from keras_dl import imports

    with imports.quiet_tensorflow():
        from keras_dl import export as exports
    if row in BOMBS:
        small, asks = _bomb(row, way, export, Path(folder), exports)
    else:
        loaded, name = exports.load(export), ENDPOINTS[row][1]
        endpoint = loaded.card["endpoints"][name]
        request = largest_requests.REQUESTS[row](loaded.card)[way]

        def small():
            loaded.call(name, **_small(request, endpoint["inputs"]))

        def asks():
            loaded.call(name, **request)

    small()
    Path(report).write_text(json.dumps(measured(asks)))


def measured(ask):
    """{"peak_mb", "seconds", "outcome"} of a call: the largest resident size above that before it.

    Args:
        ask: called without arguments; if it raises a UserError, the outcome is that it was refused.
    """
    with contextlib.suppress(OSError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the highest resident size to the present one
    before, outcome, began = _status("VmRSS"), "answered", time.monotonic()
    try:
        ask()
    except UserError as error:
        outcome = f"refused: {' '.join(str(error).split())[-300:]}"
    seconds = time.monotonic() - began
    return {"peak_mb": round(_status("VmHWM") - before, 1), "seconds": round(seconds, 2), "outcome": outcome}


def _small(request, inputs):
    """A request of one row that is answered quickly, before the record is reset."""
    cuts = {
        "roll": lambda value: value[:1, :1],
        "roll_steps": lambda value: [1],
        "image": lambda value: value[:1, :8, :8],
        "mask": lambda value: value[:1],
        "latent": lambda value: value[:1],
        "image_bytes": lambda value: [_png(np.zeros((8, 8), np.uint8))],
        "audio": lambda value: value[:1, :8],
        "audio_samples": lambda value: [8],
        "audio_bytes": lambda value: [_wav(value[0], 8)],
        "text": lambda value: [value[0][:2]],
        "sentence": lambda value: [value[0][:3]],
        "sentence_target": lambda value: [value[0][:3]],
    }
    return {
        name: cuts.get(inputs[name]["kind"], lambda value: value)(1 if name in ("length", "n", "k") else value)
        for name, value in request.items()
    }


def _wav(data, samples):
    """The first samples of a WAV file of 16 bits and one channel, as `wave` writes it."""
    with wave.open(io.BytesIO(data)) as whole:
        rate, first = whole.getframerate(), whole.readframes(samples)
    buffer = io.BytesIO()
    write_wav(np.frombuffer(first, "<i2"), buffer, rate)
    return buffer.getvalue()


def _bomb(row, way, export, folder, exports):
    """(a small request, the request with the hostile file) for one way in which a file is given."""
    from keras_dl import __main__ as command
    from keras_dl import data

    bomb, kind = next(folder.glob("bomb.*")), "music" if row == "midi" else "images"
    harmless = folder / "harmless.mid" if row == "midi" else folder / "harmless.png"
    if row == "midi":
        sound.write_midi(np.eye(8, 88, 40, np.uint8), harmless, steps_per_beat=2, beats_per_minute=80)
    else:
        harmless.write_bytes(_png(np.zeros((28, 28), np.uint8)))
    if way == "served":
        loaded = exports.load(export)
        return tuple(
            lambda file=file: loaded.call("serving_default", image_bytes=[file.read_bytes()])
            for file in (harmless, bomb)
        )
    if way == "training":
        folders = [_folder(folder / name, harmless, kind) for name in ("harmless", "with_bomb")]
        inside = next(path for path in folders[1].rglob("*") if path.is_file()).parent
        (inside / bomb.name).write_bytes(bomb.read_bytes())
        return tuple(lambda path=path: getattr(data, kind).load(str(path)) for path in folders)
    endpoint = {"predict": "serving_default"}.get(way, way)

    def predict(file):
        with contextlib.redirect_stdout(io.StringIO()):
            command.main(["predict", str(export), str(file), "--endpoint", endpoint])

    return (lambda: predict(harmless)), (lambda: predict(bomb))


def _folder(path, harmless, kind):
    """A folder of training data that holds one harmless file many times."""
    for part in ("a", "b"):
        (path / part).mkdir(parents=True)
        for number in range(8):
            (path / part / f"{number}{harmless.suffix}").write_bytes(harmless.read_bytes())
    return path


def _png(pixels):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _status(field, process="self"):
    """A size of /proc/PID/status in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / MB
    return 0.0  # a process that is ending has none


def _resident(process):
    with contextlib.suppress(OSError):
        return _status("VmRSS", process)
    return 0.0


def _environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        _case(*sys.argv[2:])
    else:
        main()
