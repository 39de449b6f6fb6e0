"""Two processes never work on one run, and a killed one leaves nothing to clean up."""

import gc
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_dl import errors, lock, machine, runs, settings

HOLD = """
import sys, time
from keras_dl import lock
held = lock.hold(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""
TRY = "import sys\nfrom keras_dl import lock\nlock.hold(sys.argv[1])"


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


def free(folder):
    """Can a process of its own take the lock?"""
    return subprocess.run([sys.executable, "-c", TRY, folder], capture_output=True).returncode == 0


def test_another_process_is_refused_by_its_number_until_it_is_killed(holder, tmp_path):
    with pytest.raises(lock.HeldByAnotherProcess, match=f"process {holder.pid}"):
        lock.hold(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    deadline = time.monotonic() + 10
    while True:  # the kernel closes a killed process's files a moment later
        try:
            assert lock.hold(tmp_path)
            break
        except lock.HeldByAnotherProcess:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_process_may_take_its_own_folder_again_and_the_lock_goes_with_its_last_reference(tmp_path):
    first = lock.hold(tmp_path)
    assert lock.hold(tmp_path) is first and not free(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    assert lock.hold(tmp_path / "link") is first  # the same folder by another name
    del first
    gc.collect()
    assert free(tmp_path)


def test_a_released_lock_can_be_taken_again(tmp_path):
    first = lock.hold(tmp_path)
    first.release()
    assert free(tmp_path)
    again = lock.hold(tmp_path)
    assert again is not first and not free(tmp_path)


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path):
    held = lock.hold(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        held.release()
        assert free(tmp_path)
    finally:
        child.kill()
        child.wait()


def test_a_run_that_another_process_trains_is_refused_in_one_line(holder, tmp_path):
    with pytest.raises(errors.UserError) as refused:
        runs.hold(tmp_path, resumed=True)
    (line,) = str(refused.value).splitlines()
    assert f"process {holder.pid} is at work on {tmp_path.name}" in line and "Nothing was written" in line


def test_a_run_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / lock.FILE).mkdir()  # in place of a read-only disk, which root could write all the same
    with pytest.raises(errors.UserError, match="--resume: .* cannot be written: Is a directory"):
        runs.hold(tmp_path, resumed=True)
    assert tmp_path.exists()


def test_a_new_run_that_cannot_be_written_leaves_no_folder(tmp_path):
    (tmp_path / "net-1" / lock.FILE).mkdir(parents=True)
    with pytest.raises(errors.UserError, match="--out: .* cannot be written: Is a directory"):
        runs.hold(tmp_path / "net-1", resumed=False)
    assert not (tmp_path / "net-1").exists()


@pytest.mark.slow
def test_a_run_on_a_read_only_file_system_is_refused_in_one_line(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("disk: a small tmpfs cannot be mounted")
    try:
        run = disk / "runs" / "classify_images" / "convnet-digits-1"
        run.mkdir(parents=True)
        (run / "config.json").write_text('{"settings": {}, "command": "", "versions": {}}')
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(errors.UserError) as refused:
            hardware = machine.prepare(settings.Common(out=str(disk), resume="convnet-digits-1"))
            runs.start(hardware, app="classify_images", name="convnet-digits")
        assert "Read-only file system" in str(refused.value) and len(str(refused.value).splitlines()) == 1
        assert sorted(p.name for p in run.iterdir()) == ["config.json"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_started_run_is_locked_until_it_is_finished(tmp_path):
    run = runs.start(machine.prepare(settings.Common(out=str(tmp_path))), app="app", name="net-set")
    assert isinstance(run.path, Path) and not free(run.path)
    run.finish({"loss": 1.0})
    assert free(run.path)
