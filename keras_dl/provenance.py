"""Versions of the packages and the commit of the code, on which a result depends besides its settings."""

import contextlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "tensorboard", "numpy")


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
