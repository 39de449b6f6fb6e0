"""What pip makes of the project."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_pyproject_names_the_build_system_and_nothing_else():
    """The metadata stand in setup.py; a second copy could differ."""
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}


@pytest.mark.slow
def test_a_wheel_has_every_file_of_the_package(tmp_path):
    project = tmp_path / "project"  # a copy: pip would leave build/ in the checkout
    shutil.copytree(ROOT / "keras_dl", project / "keras_dl", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, project)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, project]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0 and "DEPRECATION" not in done.stdout + done.stderr, done.stderr
    (wheel,) = tmp_path.glob("keras_dl-*.whl")
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("keras_dl/")}
    assert in_wheel == {str(path.relative_to(ROOT)) for path in (ROOT / "keras_dl").rglob("*.py")}
