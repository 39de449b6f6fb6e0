"""README.md and the pages of docs/: their program runs, their commands parse, their links lead somewhere."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from keras_dl import __main__ as entry
from keras_dl import command_line, errors, export, machine, runs, settings, training

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def block():
    """The program of README's "As a library", as it stands there."""
    (python,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return python


def commands(page):
    """The words of each `make` and `python` in a page's indented blocks, continued lines joined, comments left out."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^    (?:cat [^|]+\| )?((?:make|\S*python) .*)$", text, re.MULTILINE):
        yield shlex.split(line, comments=True)


@pytest.mark.slow
def test_the_ten_lines_train_export_and_give_the_same_weights_every_time(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    first, again = {}, {}
    exec(block(), first)
    assert first["metrics"]["accuracy"] > 0.5
    assert (tmp_path / "saved_models" / "convnet-digits" / "1" / "saved_model.pb").is_file()
    keras.random.normal((3,)), np.random.random()  # what runs in between does not matter
    keras.layers.Dense(2).build((None, 2))
    monkeypatch.setattr(export, "save", lambda *_, **__: None)
    exec(block(), again)
    assert again["run"].path.name == "convnet-digits-2" and again["metrics"] == first["metrics"]
    for one, two in zip(first["model"].get_weights(), again["model"].get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_are_commands_of_the_project(page, monkeypatch):
    """Apps take the flags, `python -m keras_dl` takes the words, make has the target, scripts are there."""
    monkeypatch.syspath_prepend(str(ROOT / "apps"))
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(page):
        if words[0] == "make":
            assert set(words[1:2]) <= set(targets), words
        elif Path(words[0]).name == "python" and words[1].startswith("apps/"):
            app = Path(words[1]).stem
            command_line.parse(importlib.import_module(app).Config, words[2:], app=app)
        elif Path(words[0]).name == "python" and words[1:3] == ["-m", "keras_dl"]:
            entry._parser().parse_args(words[3:])
        elif Path(words[0]).name == "python" and words[1] != "-m":
            assert (ROOT / words[1]).is_file(), words


def test_the_check_of_commands_sees_a_wrong_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text\n\n    .venv/bin/python apps/translate.py --sorce my.en \\\n        --trials 4  # words\n")
    assert list(commands(page)) == [[".venv/bin/python", "apps/translate.py", "--sorce", "my.en", "--trials", "4"]]
    with pytest.raises(errors.UserError, match="--source"):
        test_the_commands_of_a_page_are_commands_of_the_project(page, pytest.MonkeyPatch())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert not link.startswith("http"), f"{page.name}: {link}: a page needs no network"
        path, _, anchor = link.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {link}"
        if anchor:
            text = file.read_text(encoding="utf-8")
            headings = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in
                        re.findall(r"^#+ (.+)$", text, re.MULTILINE)]  # fmt: skip
            assert anchor in headings or f'<a id="{anchor}">' in text, f"{page.name}: {link}"


def test_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 160
    for page in PAGES[1:]:
        assert f"]({page.relative_to(ROOT)})" in text


def test_a_model_that_the_run_did_not_build_is_not_trained(tmp_path):
    """It cannot be written in an order in which the weights come before the seed."""
    import keras

    def compiled():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="early")
        model.compile("sgd", "mse")
        return model

    early, prepared = compiled(), machine.prepare(settings.Common(out=str(tmp_path)))
    run = runs.start(prepared, app="mine", name="early-none")
    with pytest.raises(errors.UserError, match=r"must be made by run.build\(compiled\).*; got 'early'") as caught:
        training.fit(early, None, None, run, epochs=1)
    assert "\n" not in str(caught.value)
    run.build(compiled)
    with pytest.raises(errors.UserError, match="made by run.build"):  # another model, of the same name
        training.fit(early, None, None, run, epochs=1)
