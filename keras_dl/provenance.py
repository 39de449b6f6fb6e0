"""What a result depends on besides its settings: versions of the packages, commit of the code."""

import contextlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "tensorboard", "numpy")


def versions():
    """{package: version} of Python and of what the result depends on."""
    versions_of = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions_of[package] = importlib.metadata.version(package)
    return versions_of


def git_commit():
    """The commit of the code that runs, with "+changes" where the tree differs from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if dirty.strip() else "")
