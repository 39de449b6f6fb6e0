"""apps/classify_signals.py on other data than the solids: sounds, NPZ files, a user's folders, and mistakes."""

import json
import wave

import numpy as np
import pytest
from app_files import ROOT, main_of

from keras_dl import errors
from keras_dl.__main__ import main as command
from keras_dl.data import solids

APP = ROOT / "apps" / "classify_signals.py"


def tone(path, frequency, seconds=0.25, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        time = np.arange(int(seconds * rate)) / rate
        file.writeframes((9000 * np.sin(2 * np.pi * frequency * time)).astype("<i2").tobytes())


@pytest.mark.slow
def test_ones_own_recordings_from_the_folder_to_the_answers(tmp_path, capsys, one_process_answers):
    pytest.importorskip("soundfile", reason="extra [signals] is not installed")
    folder, rng = tmp_path / "tones", np.random.default_rng(0)
    for name, low in (("high", 1500), ("low", 300)):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            tone(folder / name / f"{number}.wav", low * rng.uniform(0.9, 1.1), rng.uniform(0.2, 0.3))
    metrics = main_of(APP)(
        ["--model", "convnet1d", "--dataset", str(folder), "--epochs", "12", "--set", "filters=(8,16)", "--out",
         str(tmp_path)]
    )  # fmt: skip
    assert metrics["accuracy"] == 1 and metrics["auc"] == 1
    (export,) = (tmp_path / "saved_models").glob("*/1")
    tone(tmp_path / "new.wav", 1450, 0.5)
    capsys.readouterr()
    command(["predict", str(export), str(tmp_path / "new.wav"), "--out", str(tmp_path / "answer.json")])
    assert '"high"' in (tmp_path / "answer.json").read_text()
    card = json.loads((export / "card.json").read_text())
    assert card["endpoints"]["serving_default"]["inputs"]["audio_bytes"]["kind"] == "audio_bytes"
    (run,) = (tmp_path / "runs" / "classify_signals").iterdir()
    assert set(json.loads((run / "report.json").read_text())["intervals"]) >= {"accuracy", "loss"}


@pytest.mark.slow
def test_volumes_in_nifti_files_of_ones_own(tmp_path, capsys, one_process_answers):
    nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    folder, rng = tmp_path / "heads", np.random.default_rng(0)
    for label, name in enumerate(("bright", "dark")):
        (folder / name).mkdir(parents=True)
        for number in range(16):
            voxels = rng.normal(size=(16, 16, 16)).astype(np.float32)
            voxels[4:12, 4:12, 4:12] += 4 - 8 * label
            image = nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 1.0, 1.0]))
            nibabel.save(image, folder / name / f"{number}.nii.gz")
    metrics = main_of(APP)(
        ["--dataset", str(folder), "--epochs", "8", "--set", "filters=(4,8)", "--set", "kernel_size=(3,3)", "--out",
         str(tmp_path)]
    )  # fmt: skip
    assert metrics["accuracy"] == 1
    (export,) = (tmp_path / "saved_models").glob("*/1")
    capsys.readouterr()
    command(["predict", str(export), str(folder / "dark" / "3.nii.gz"), "--out", str(tmp_path / "answer.json")])
    assert '"dark"' in (tmp_path / "answer.json").read_text()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--dataset", "fsd"], "nearest: fsdd"),
        (["--dataset", "synthetic"], "--model: synthetic has sounds, which convnet1d reads; got convnet3d. Nearest: c"),
        (["--model", "convnet1d", "--seconds", "1"], "--model: solids has volumes, which convnet3d or resnet3d reads"),
        (["--rate", "10"], "--rate: must be 0 or at least 1000; got 10"),
        (["--size", "3"], "--size: must be 0 or at least 4; got 3"),
        (["--dataset", "none.npz"], "no file none.npz"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(argv, words, tmp_path, monkeypatch):
    monkeypatch.setattr(solids.draw, "__defaults__", ({"train": 16, "validation": 8, "test": 8},))
    with pytest.raises(errors.UserError) as error:
        main_of(APP)([*argv, "--out", str(tmp_path)])
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
