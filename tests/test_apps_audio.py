"""The app of models of sound: every option, a folder of one's own, mistakes."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from app_files import ROOT, killed_and_resumed, main_of

from keras_dl import samples

APP = ROOT / "apps" / "model_audio.py"
SMALL = ["--set", "dilations=(1, 2)", "--set", "filters=4", "--set", "skip_filters=4", "--sample-length", "40"]


def likelihood_of(export, **options):
    """The test split's nats per sample by what the export answers to its recordings."""
    from keras_dl import data
    from keras_dl import export as exports
    from keras_dl.features import audio_files

    test = data.audio.load("synthetic", **options).few(6, seed=0).test.features
    served, nats, samples = exports.load(export), 0.0, 0
    for number, recording in enumerate(test["audio"]):
        label = {"label": int(test["label"][number])} if "label" in test else {}
        audio = audio_files.as_float(recording)[None]
        nats -= float(served.call("score", audio=audio, samples=[audio.size], **label)["log_likelihood"][0])
        samples += audio.size
    return nats / samples


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (["--condition", "label", "--trials", "2", "--window", "500"], {"label": "class"}),
        (["--levels", "65536", "--set", "components=3", "--precision", "mixed_bfloat16", "--strategy", "mirrored",
          "--histograms"], {"levels": 65_536}),
    ],
    ids=lambda flags: " ".join(flags),
)  # fmt: skip
def test_every_option_of_sound(flags, options, tmp_path, one_process_answers):
    metrics = main_of(APP)(["--smoke", "--out", str(tmp_path), *SMALL, *flags])
    (export,) = (tmp_path / "saved_models").glob("*/1")
    assert likelihood_of(export, **options) == pytest.approx(metrics["nats_per_sample"], rel=1e-4)
    # Two updates: about as good as equally probable levels.
    assert metrics["nats_per_sample"] == pytest.approx(math.log(options.get("levels", 256)), rel=0.1)
    (folder,) = (tmp_path / "runs").glob("*/*/samples")
    assert {path.name for path in folder.iterdir()} == {
        "continued.wav", "drawn-1.wav", "drawn-2.wav", "prime.wav", "spectrograms.png",
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_of_sound_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch, one_process_answers):
    """To the bit: the test's figure, and every sample of what the model draws."""
    flags = ["--smoke", "--condition", "label", "--batch-size", "2", *SMALL]
    whole, resumed, _ = killed_and_resumed(APP, flags, tmp_path, monkeypatch, samples.Samples, "on_epoch_end")
    assert resumed == whole

    def drawn(root):
        (folder,) = (root / "runs").glob("*/*/samples")
        return {path.name: path.read_bytes() for path in folder.glob("*.wav")}

    assert drawn(tmp_path) == drawn(tmp_path / "whole") and len(drawn(tmp_path)) == 4


@pytest.mark.slow
def test_what_a_run_draws_is_what_its_export_answers(tmp_path, one_process_answers):
    """Of a long recording a part is given and a part is drawn, and the export is that of float32."""
    soundfile = pytest.importorskip("soundfile", reason="extra [signals] is not installed")
    from keras_dl import export as exports
    from keras_dl.features import audio_files

    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", 0.5 * np.sin(0.1 * (number + 1) * np.arange(30_000)), 8000)
    small = [*SMALL[:-2], "--window", "20000", "--precision", "mixed_bfloat16"]
    main_of(APP)(["--dataset", str(folder), "--smoke", "--out", str(tmp_path), "--sample-length", "600", *small])
    (export,), (made,) = (tmp_path / "saved_models").glob("*/1"), (tmp_path / "runs").glob("*/*/samples")
    prime = audio_files.read(made / "prime.wav").audio
    assert len(prime) == 8000
    answer = exports.load(export).call("generate", prime=prime[None], length=600, temperature=1.0, seed=0)["audio"][0]
    continued = audio_files.read(made / "continued.wav").audio
    np.testing.assert_array_equal(audio_files.as_int16(answer), audio_files.as_int16(continued))


@pytest.mark.slow
def test_ones_own_recordings_from_folder_to_wav_files(tmp_path):
    """A rate, channels and silence of one's own: said; the answer is at the data's rate and begins with the prime."""
    soundfile = pytest.importorskip("soundfile", reason="extra [signals] is not installed")
    folder, rng = tmp_path / "birds", np.random.default_rng(0)
    folder.mkdir()
    for number in range(6):
        tone = np.sin(np.arange(4000) * rng.uniform(0.1, 0.3))[:, None] * (0.5, 0.3)
        soundfile.write(folder / f"{number}.{('wav', 'flac')[number % 2]}", tone, 22_050)

    def call(*words):
        done = subprocess.run([sys.executable, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said = call(APP, "--dataset", folder, "--epochs", "1", "--batch-size", "2", *SMALL)
    assert "22,050 samples per second converted to 16,000: 6 files" in said
    assert "2 channels averaged to one: 6 files" in said
    (export,) = (tmp_path / "saved_models").glob("*")
    drawn, longer = tmp_path / "drawn.wav", tmp_path / "longer.flac"
    predict = ["-m", "keras_dl", "predict", export]
    call(*predict, "--endpoint", "sample", "--set", "length=50", "--set", "seed=1", "--out", drawn)
    sound, rate = soundfile.read(drawn)
    assert (len(sound), rate) == (50, 16_000)
    call(*predict, drawn, "--endpoint", "generate", "--set", "length=30", "--out", longer)
    continued, rate = soundfile.read(longer)
    assert (len(continued), rate) == (80, 16_000)
    np.testing.assert_allclose(continued[:50], sound, atol=1e-4)
    answers = call(*predict, drawn, folder)
    assert "22,050 samples per second converted to 16,000" in answers and "nats_per_sample" in answers


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dataset", "fsd"], 'no set or folder "fsd"; nearest: fsdd'),
        (["--condition", "speaker"], "--condition: speaker needs --dataset fsdd; got synthetic."),
        (["--rate", "16000"], "--rate: must be given with a folder as --dataset"),
        (["--rate", "7"], "--rate: must be 0 or at least 1000; got 7. Nearest: 0."),
        (["--trim-silence"], "--trim-silence: must be given with a folder as --dataset"),
        (["--set", "components=3"], "--set components: must be given with --levels 65536"),
        (["--set", "dilations=()"], "build_wavenet: dilations must be"),
        (["--set", "dilations=x"], "build_wavenet: dilations must be"),
        (["--set", "kernel_size=None"], "build_wavenet: kernel_size must be"),
        (["--set", "num_blocks=1000000000"], "build_wavenet: num_blocks must be"),
        (["--set", "features_dim=3"], "features_dim"),
        (["--sample-length", "1000000"], "--sample-length: must be at most"),
        (["--set", "num_blocks=40"], "build_wavenet: there must be at most 48 layers in all"),
    ],
)
def test_mistakes_in_the_audio_app_leave_nothing(flags, complaint, tmp_path):
    from keras_dl.errors import UserError

    with pytest.raises(UserError, match=re.escape(complaint)) as error:
        main_of(APP)([*flags, "--smoke", "--out", str(tmp_path / "out")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
