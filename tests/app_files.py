"""The apps, found by themselves: those that export a model, and the experiments of the lecture's figures."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = sorted((ROOT / "apps").glob("*.py"))
EXPERIMENTS = [app for app in APPS if "(settings.Experiment)" in app.read_text(encoding="utf-8")]
WITH_EXPORT = [app for app in APPS if app not in EXPERIMENTS]


def main_of(app):
    """The function main of an app's file."""
    return runpy.run_path(str(app))["main"]


def killed_and_resumed(app, flags, folder, monkeypatch, owner, name="fit", at=2):
    """An app's result without a break, and that of a run that is killed in call number `at` of owner.name and resumed.

    The first is in folder / "whole", the other in `folder`. Returns (the first result, the other, number of calls of
    owner.name after the break).
    """
    main, function, calls = main_of(app), getattr(owner, name), []
    whole = main([*flags, "--out", str(folder / "whole")])

    def killed(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) == at:
            raise KeyboardInterrupt
        return function(*arguments, **keywords)

    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(KeyboardInterrupt):
        main([*flags, "--out", str(folder)])
    resumed = main([*flags, "--out", str(folder), "--resume"])
    return whole, resumed, len(calls) - at
