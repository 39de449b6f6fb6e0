"""The apps, found by themselves: those that export a model, and the experiments of the lecture's figures."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPS = sorted((ROOT / "apps").glob("*.py"))
EXPERIMENTS = [app for app in APPS if "(settings.Experiment)" in app.read_text(encoding="utf-8")]
WITH_EXPORT = [app for app in APPS if app not in EXPERIMENTS]


def main_of(app):
    """The function main of an app's file."""
    return runpy.run_path(str(app))["main"]
