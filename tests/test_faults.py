"""A user with bad luck: one clear line, exit status 2, nothing half written, no traceback."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_dl import atomic, command_line, runs

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "apps" / "classify_images.py"
QUICK = ["--trials", "0", "--epochs", "2"]


def call(*argv, **kwargs):
    return subprocess.run([sys.executable, APP, *map(str, argv)], capture_output=True, text=True, **kwargs)


def said_once(done, *words):
    assert done.returncode == 2, (done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def in_process(tmp_path, capsys):
    """Call the app in this process as its last line does: (exit status, stdout, stderr)."""
    import runpy

    main = runpy.run_path(str(APP))["main"]

    def call_main(*argv):
        with pytest.raises(SystemExit) as stop:
            command_line.run(lambda: main([*map(str, argv), "--out", str(tmp_path / "out")]))
        return subprocess.CompletedProcess(argv, stop.value.code, *capsys.readouterr())

    return call_main


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--model", "mpl"], ["invalid choice 'mpl'", "Nearest: mlp"]),
        (["--dataset", "mnits"], ['"mnits"', "nearest: mnist"]),
        (["--dataset", "no/such/folder"], ['"no/such/folder"']),
        (["--device", "gpu:7"], ["--device", "cpu", "'gpu:7'"]),
        (["--device", "tpu"], ["--device", "'tpu'"]),
        (["--set", "filtres=(2, 2)"], ["'filtres=(2, 2)'", "Nearest: filters", "pooling"]),
        (["--set", "pooling=maximum"], ["build_convnet", "maximum"]),
        (["--set", "kernel_size=29"], ["build_convnet"]),
        (["--model", "resnet_cifar", "--set", "depth=21"], ["6n + 2", "20 or 26"]),
        (["--augment", "crop_flip"], ["mirroring changes classes of digits"]),
        (["--schedule", "cosine", "--reduce-on-plateau", "2"], ["--reduce-on-plateau", "cosine"]),
        (["--learning-rate", "-1"], ['--learning-rate: must be a number in [1e-10, 100], or "auto"; got -1']),
        (
            ["--learning-rate", "inf"],
            ['--learning-rate: must be a number in [1e-10, 100], or "auto"; got inf. Nearest: 100.'],
        ),
        (["--weight-decay", "nan"], ['--weight-decay: must be a number in [0, 10], or "auto"; got nan']),
        (["--save-minutes", "-1"], ["--save-minutes: must be a number in [0, 1e6]"]),
        (["--patience", "-3"], ["--patience: must be a whole number from 0"]),
        (["--trial-epochs", "0"], ["--trial-epochs: must be a whole number from 1"]),
        (["--seed", "-1"], ["--seed: must be a whole number from 0 to 2,147,483,647"]),
        (["--dataset", ""], ["--dataset"]),
        (["--init", ""], ["--init: must not be empty; leave it out instead."]),
        (["--init-rate-factor", "0.1"], ["--init-rate-factor: must be given with --init, else it has no effect"]),
        (["--fit", "pad"], ["--fit: must be given with a folder as --dataset, else it has no effect"]),
        (["--image-size", "32"], ["--image-size: must be given with a folder as --dataset"]),
        (["--model", "linear", "--set", "units=5"], ["Arguments: none"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--batch-size", "0"], ["--batch-size: must be a whole number from 1"]),
        (["--resume"], ["no unfinished run"]),
        (["--resume", "convnet-digits-9"], ["no run 'convnet-digits-9'"]),
    ],
    ids=lambda v: " ".join(v) if v and v[0].startswith("--") else "",
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(in_process, tmp_path, argv, words):
    said_once(in_process(*argv), *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_file_for_out_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    said_once(call("--out", tmp_path / "file", *QUICK), "--out", "cannot be written")


def test_a_full_disk_is_one_line_and_keeps_what_was_complete(tmp_path):
    """RLIMIT_FSIZE: no file may grow beyond 200 kB, less than a checkpoint of LeNet-5."""
    limit = 200_000
    done = call(
        "--out", tmp_path, *QUICK,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    said_once(done, "cannot read or write")
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.npz"))
    assert not list((tmp_path / "saved_models").glob("*/*"))


@pytest.mark.slow
def test_a_full_file_system_is_one_line(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("disk: a small tmpfs cannot be mounted")
    try:
        said_once(call("--out", disk, *QUICK), "cannot read or write")
        assert not list(disk.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_goes_on(tmp_path):
    child = subprocess.Popen(
        [sys.executable, APP, "--out", tmp_path, "--trials", "0", "--epochs", "500"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _wait_for(lambda: list(tmp_path.glob("runs/*/*/checkpoints/*.npz")), child)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 130 and "SIGINT: saved; --resume convnet-digits-1" in out and not err.strip()

    refused = call("--out", tmp_path, "--resume", "--batch-size", "99")
    said_once(refused, "batch_size=64, now 99", "Nothing was written")
    # More epochs or fewer: those of the run so far are kept, and it goes through to the export.
    done = call("--out", tmp_path, "--resume", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "goes on at epoch" in done.stdout and list(tmp_path.glob("saved_models/*/1/card.json"))


def _wait_for(condition, child, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("text", ['{"settings": {"mod', '{"command": "x"}'])
def test_a_damaged_config_is_one_line(in_process, tmp_path, text):
    made = tmp_path / "out" / "runs" / "classify_images" / "convnet-digits-1"
    made.mkdir(parents=True)
    (made / "config.json").write_text(text)
    said_once(in_process("--resume"), "config.json is damaged")


@pytest.mark.slow
def test_a_signal_in_the_search_stops_after_the_trial(tmp_path):
    child = subprocess.Popen(
        [sys.executable, APP, "--out", tmp_path / "a b", "--model", "linear", "--trials", "50", "--trial-epochs", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _wait_for(lambda: list(tmp_path.glob("*/runs/*/*/tuner/trials.json")), child)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 143 and not err.strip()
    assert f"SIGTERM: saved; --resume linear-digits-1 --out '{tmp_path / 'a b'}' goes on from here" in out


def test_write_atomic_leaves_the_old_file(tmp_path, monkeypatch):
    atomic.write_atomic(tmp_path / "a.json", "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        atomic.write_atomic(tmp_path / "a.json", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
def test_an_error_while_a_file_is_made_leaves_nothing_beside_it(tmp_path, error):
    with pytest.raises(type(error)), atomic.atomic_file(tmp_path / "a.json") as file:
        file.write(b"half")
        raise error
    assert not list(tmp_path.iterdir())


def test_two_processes_never_take_one_folder(tmp_path):
    folders = [runs.new_folder(tmp_path, "app", "net-set") for _ in range(3)]
    assert [p.name for p in folders] == ["net-set-1", "net-set-2", "net-set-3"]
