"""Versions of the packages, the commit of the code and the machine, on which a result depends besides its settings."""

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from keras_dl.wording import counted

PACKAGES = ("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "tensorboard", "numpy")


def of_process():
    """{"versions", "commit", "machine"} of this process, as config.json has them."""
    return {"versions": versions(), "commit": git_commit(), "machine": machine()}


def versions():
    """{package: version} of Python and of the installed PACKAGES."""
    versions_of = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions_of[package] = importlib.metadata.version(package)
    return versions_of


def git_commit():
    """The commit of the running code, with "+changes" if files differ from it; None outside a git checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if dirty.strip() else "")


def machine():
    """What a time depends on: the processor's model, cores that this process may use, memory."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (line := re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE)):
        model = line[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {counted(len(os.sched_getaffinity(0)), 'cores')}, {memory:.0f} GiB"
