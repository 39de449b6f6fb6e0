"""Figures can be traced: what reproduce.py lists, refuses, records and writes into the pages."""

import hashlib
import importlib
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from app_files import EXPERIMENTS

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package

import kept_pictures  # noqa: E402
import recorded  # noqa: E402 (they are found through the line above)
import reproduce  # noqa: E402
import tables  # noqa: E402
import tables_images  # noqa: E402
import written_pages  # noqa: E402

OPTIONAL = {"spread", "details", "pictures"}
RULES = {
    "classify_images": "PICTURES", "model_images": "DENSITIES", "autoencode_images": "AUTOENCODERS",
    "model_music": "MUSIC", "model_text": "TEXT", "translate": "PAIRS",
}  # fmt: skip

# A project with two tables, whose commands do what a measuring script or an app does.
FAKE_TABLES = """
from pathlib import Path
import tables_of_the_project as real

from rows import Picture

Row, Table, DERIVED, HEADLINES = real.Row, real.Table, real.DERIVED, {}
speed, pictures = "benchmarks/script.py", "benchmarks/pictures.py"
TABLES = {
    "speed": Table("Speed", (
        Row("small", "ratio", "ours / theirs", speed, bar=("<=", 1.0)),
        Row("small", "wait", "ms", speed),
        Row("broken", "ratio", "ours / theirs", "benchmarks/broken.py"),
    )),
    "digits": Table("Digits", (
        Row("convnet", "test_error", "percent", "apps/app.py --seed 0", 0.95, "A paper", unverified=True),
    )),
    "pictures": Table("Pictures", (
        Row("first", "nats", "nats", pictures), Row("second", "nats", "nats", pictures),
        Row("second", "gain", "nats", pictures, gain_over="first"),
    ), pictures=(
        Picture("first", "drawn*.png", "samples", "Samples"), Picture("second", "other.png", "other", "Others"),
    )),
}
"""
FAKE_PICTURES = """
import json, pathlib, sys
from PIL import Image
file = pathlib.Path(sys.argv[2])
Image.new("RGB", (8, 8), (200, 10, 10)).save(file.with_name("drawn_1.png"))
if not pathlib.Path("benchmarks/results/without").exists():
    Image.new("L", (8, 8), 7).save(file.with_name("other.png"))
rows = {"first": {"metrics": {"nats": 90.0}, "details": {"k": 1}}, "second": {"metrics": {"nats": 88.5}}}
file.write_text(json.dumps({"rows": rows}))
"""
FAKE_SCRIPT = """
import json, pathlib, sys
report = {"metrics": {"ratio": {"value": 0.5, "spread": [0.4, 0.6]}, "wait": 12345.6}, "details": {"rounds": 30}}
assert sys.argv[1] == "--json"
pathlib.Path(sys.argv[2]).write_text(json.dumps(report))
"""
FAKE_APP = """
import json, pathlib, sys
assert sys.argv[1:4] == ["--seed", "0", "--out"]
run = pathlib.Path(sys.argv[4]) / "runs" / "app" / "convnet-digits-1"
run.mkdir(parents=True)
(run / "finished.json").write_text(json.dumps({"metrics": {"accuracy": 0.9917, "loss": 0.03}}))
"""
PAGE = "# Top\n<!-- table:digits -->\nold\n<!-- end -->\nbetween\n<!-- table:speed -->\n<!-- end -->\nbottom\n"


@pytest.fixture
def project(tmp_path):
    """A committed project of its own; project(*words) runs its reproduce.py."""
    for folder in ("benchmarks", "apps", "docs", "keras_dl"):
        (tmp_path / folder).mkdir()
    for file in (ROOT / "keras_dl").glob("*.py"):
        shutil.copy(file, tmp_path / "keras_dl")
    scripts = ("reproduce", "recorded", "written_pages", "kept_pictures", "rows")
    for script in (*scripts, "tables_images", "tables_segmentation", "tables_sound", "tables_laboratory"):
        shutil.copy(BENCHMARKS / f"{script}.py", tmp_path / "benchmarks")
    shutil.copy(BENCHMARKS / "tables.py", tmp_path / "benchmarks" / "tables_of_the_project.py")
    (tmp_path / "benchmarks" / "tables.py").write_text(FAKE_TABLES)
    (tmp_path / "benchmarks" / "script.py").write_text(FAKE_SCRIPT)
    (tmp_path / "benchmarks" / "broken.py").write_text("raise SystemExit(3)")
    (tmp_path / "benchmarks" / "pictures.py").write_text(FAKE_PICTURES)
    (tmp_path / "apps" / "app.py").write_text(FAKE_APP)
    (tmp_path / "README.md").write_text("# Project\n")
    (tmp_path / "docs" / "results.md").write_text(PAGE)
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)

    def run(*words, package=tmp_path):
        command, env = [sys.executable, "benchmarks/reproduce.py", *words], {**os.environ, "PYTHONPATH": str(package)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    run.path = tmp_path
    return run


def git(path, *words):
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *words], cwd=path, check=True, capture_output=True, text=True).stdout.strip()


def commit(path):
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "All")


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_list_names_every_row_and_imports_no_tensorflow():
    code = (
        "import runpy, sys; sys.argv = ['reproduce.py']; sys.path.insert(0, 'benchmarks'); "
        "runpy.run_path('benchmarks/reproduce.py', run_name='__main__'); "
        "sys.exit('tensorflow' in sys.modules or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, table in tables.TABLES.items():
        assert f"{name}: {table.title}" in done.stdout
        for row in table.rows:
            assert re.search(rf"^  {row.name} +{row.metric} \(", done.stdout, re.MULTILINE)


def test_rows_are_unique_and_their_scripts_are_there():
    for table in tables.TABLES.values():
        keys = [(row.name, row.metric) for row in table.rows]
        assert len(set(keys)) == len(keys)
        for row in table.rows:
            assert (ROOT / row.command.split()[0]).is_file()
            assert row.source or row.published is None  # a published figure says where it stands


def test_a_bar_is_a_bound_or_a_figure_with_its_tolerance():
    least, most, equal = (tables.Row("row", "x", "", "", bar=bar) for bar in ((">=", 2), ("<=", 2), ("=", 2, 0.1)))
    assert [recorded.bar(row) for row in (least, most, equal)] == ["at least 2", "at most 2", "2 within 0.1"]
    reached = [[recorded.reaches(row, value) for value in (1.8, 1.95, 2.0, 2.05, 2.2)] for row in (least, most, equal)]
    assert reached == [[False, False, True, True, True], [True] * 3 + [False] * 2, [False, True, True, True, False]]
    assert recorded.figure({"value": 2.24016}, tables.Row("row", "x", "", "", bar=("=", 2.2402, 1e-4))) == "2.2402"
    assert recorded.figure({"value": 79.0}, tables.Row("row", "x", "", "", bar=("=", 79, 0))) == "79"


def test_the_flags_of_the_rows_are_flags_of_the_app(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "apps"))
    from keras_dl import command_line

    commands = {row.command for table in tables.TABLES.values() for row in table.rows}
    commands |= {*tables_images.LONG.values(), *tables_images.GENERATORS.values()}  # what scripts run
    apps = [shlex.split(command) for command in commands if command.startswith("apps/")]
    experiments = {app.stem for app in EXPERIMENTS}  # those with a table train nothing that a search could vary
    assert {Path(app).stem for app, *_ in apps} - experiments == {
        "classify_images", "model_text", "translate", "model_images", "autoencode_images", "gan_images", "model_audio",
        "segment",
    }  # fmt: skip
    for app, *flags in apps:
        config = command_line.parse(importlib.import_module(Path(app).stem).Config, flags, app=Path(app).stem)
        assert config.seed == 0 and getattr(config, "trials", 0) == 0  # an experiment has no search


def test_the_recipes_for_own_data_leave_nothing_to_the_rules(monkeypatch):
    import own_data

    monkeypatch.syspath_prepend(str(ROOT / "apps"))
    from keras_dl import command_line, models, settings
    from keras_dl import own_data as rules

    assert {row.name for row in tables.TABLES["own_data"].rows} == {*own_data.ROWS, "cifar_folder_init"}
    for row in own_data.ROWS.values():
        app = importlib.import_module(row.app)
        assert len(set(row.recipes)) == len(row.recipes) == 10
        for recipe in row.recipes:
            config = command_line.parse(
                app.Config,
                shlex.split(f"{own_data.BASES[row.app]} {recipe}"),
                app=row.app,
                free_arguments=models.free_arguments,
                left_open=rules.SETTINGS,
            )
            values = settings.values_of(config)
            assert not [name for name in rules.SETTINGS if name in values and values[name] is None]
            rule = getattr(rules, RULES[row.app])
            arguments = set(command_line.assignments(config.set, models.free_arguments(config.model), "the builder"))
            assert set(rule.arguments.get(config.model, {})) <= arguments and config.trials == 0


def test_behind_is_in_points_or_in_percent_of_the_nats():
    import own_data

    assert own_data.ROWS["arrows"].behind(70.0, 75.0) == 5 and own_data.ROWS["pairs_400"].behind(99.0, 98.0) == -1
    assert own_data.ROWS["midi_20"].behind(5.1, 5.0) == pytest.approx(2)


def test_a_measured_row_is_appended_with_all_keys_and_nothing_is_deleted(project):
    for count in (1, 2):
        done = project("speed", "small")
        assert done.returncode == 0, done.stderr
        assert len(records(project.path / "benchmarks/results/speed.jsonl")) == 2 * count
    first, second = records(project.path / "benchmarks/results/speed.jsonl")[:2]
    assert set(first) == {*reproduce.KEYS, "spread", "details"} and set(second) == {*reproduce.KEYS, "details"}
    assert (first["row"], first["metric"], first["value"], first["spread"]) == ("small", "ratio", 0.5, [0.4, 0.6])
    assert (second["metric"], second["value"], second["unit"]) == ("wait", 12345.6, "ms")
    assert first["commit"] == git(project.path, "rev-parse", "HEAD")
    assert first["command"] == "python benchmarks/script.py"  # without the temporary folder
    assert "ratio 0.5 [0.4, 0.6] ours / theirs; bar at most 1: reached" in done.stdout


def test_an_apps_metrics_are_read_from_its_finished_run(project):
    assert project("digits").returncode == 0
    (record,) = records(project.path / "benchmarks/results/digits.jsonl")
    assert math.isclose(record["value"], 0.83) and record["published"] == 0.95
    assert record["source"] == "A paper (unverified)"
    assert record["command"] == "python apps/app.py --seed 0"


def test_pictures_of_a_run_are_kept_in_docs_with_its_commit(project):
    """They are not edited by hand: the record has their SHA-256, and they do not make the tree dirty."""
    from PIL import Image

    before = git(project.path, "rev-parse", "HEAD")
    assert project("pictures", "first").returncode == project("pictures", "second").returncode == 0
    kept = project.path / "docs" / "pictures_first_samples.png"
    first, second, gain = records(project.path / "benchmarks/results/pictures.jsonl")
    assert first["pictures"] == {kept.name: hashlib.sha256(kept.read_bytes()).hexdigest()}
    assert list(second["pictures"]) == ["pictures_second_other.png"] and second["pictures"] == gain["pictures"]
    with Image.open(kept) as picture:
        assert picture.info["commit"] == before and picture.convert("RGB").getpixel((3, 3)) == (200, 10, 10)
    (project.path / "docs" / "results.md").write_text("<!-- table:pictures -->\n<!-- end -->\n")
    commit(project.path)
    assert project("--docs").returncode == 0
    text = (project.path / "docs/results.md").read_text()
    assert f"![Samples](pictures_first_samples.png)\n\nfirst: Samples ({before[:7]})." in text
    (project.path / "benchmarks/results/without").touch()
    done = project("pictures", "second")
    assert done.returncode == 2 and "second must leave one file other.png; got 0. Nothing was written." in done.stderr
    assert len(records(project.path / "benchmarks/results/pictures.jsonl")) == 3


def test_one_command_measures_rows_of_their_own_and_a_gain_over_another(project):
    done = project("pictures", "second")
    assert done.returncode == 2 and "gain of second needs first: measure that first." in done.stderr
    assert not (project.path / "benchmarks/results").exists()
    assert project("pictures", "first").returncode == 0
    assert project("pictures", "second").returncode == 0
    first, second, gain = records(project.path / "benchmarks/results/pictures.jsonl")
    assert (first["value"], first["details"]) == (90.0, {"k": 1}) and second["value"] == 88.5
    assert gain["value"] == 1.5 and gain["details"]["over"]["value"] == 90.0


def test_a_kept_picture_is_small_and_equal_if_it_can_be():
    from PIL import Image

    def png(pixels):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    rng = np.random.default_rng(0)
    for pixels in (rng.integers(0, 256, (60, 90), np.uint8), rng.integers(0, 256, (60, 90, 3), np.uint8)):
        small = kept_pictures.small(png(pixels), "abc")
        with Image.open(io.BytesIO(small)) as picture:
            assert (np.asarray(picture.convert("RGB" if pixels.ndim == 3 else "L")) == pixels).all()
    noise = rng.integers(0, 256, (900, 900, 3), np.uint8)
    assert len(png(noise)) > 2_000_000
    small = kept_pictures.small(png(noise), "abc")
    assert len(small) <= kept_pictures.LARGEST
    with Image.open(io.BytesIO(small)) as picture:
        assert min(picture.size) >= 225 and picture.info["commit"] == "abc"
    with pytest.raises(kept_pictures.UserError, match="cannot be read"):
        kept_pictures.small(b"no picture", "abc")


def test_the_pictures_in_docs_are_those_of_the_newest_records():
    """A picture that was edited by hand, or is of another run, has another SHA-256."""
    for name, table in tables.TABLES.items():
        noted = {}
        for record in sorted(recorded.newest(name).values(), key=lambda record: record["date"]):
            noted |= record.get("pictures", {})
        for picture in table.pictures:
            assert picture.row in {row.name for row in table.rows}
            file = ROOT / "docs" / kept_pictures.name_of(name, picture)
            assert file.exists() == (file.name in noted), f"{file.name}: reproduce.py writes it, and nothing else"
            if file.exists():
                assert hashlib.sha256(file.read_bytes()).hexdigest() == noted[file.name], file.name


def test_every_recorded_figure_has_the_keys():
    """Of the project's own results, as many as there are."""
    for path in (BENCHMARKS / "results").glob("*.jsonl"):
        assert path.stem in tables.TABLES
        for record in records(path):
            assert set(reproduce.KEYS) <= set(record) <= {*reproduce.KEYS, *OPTIONAL}, path.name
            assert math.isfinite(record["value"]) and re.fullmatch("[0-9a-f]{40}", record["commit"])
            assert record["seed"] == reproduce.SEED and "/" not in record["machine"]


@pytest.mark.parametrize(
    "change",
    ["apps/app.py", "benchmarks/new.py", "README.md", "docs/results.md"],
    ids=["changed", "untracked", "readme", "a page's text"],
)
def test_a_dirty_tree_is_refused(project, change):
    with open(project.path / change, "a") as file:
        file.write("# more\n")
    done = project("speed", "small")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and f"changed or new: {change}." in done.stderr
    assert not (project.path / "benchmarks/results").exists()


def test_no_commit_is_refused(project):
    shutil.rmtree(project.path / ".git")
    done = project("speed")
    assert done.returncode == 2 and "must be a git checkout with a commit" in done.stderr


def test_a_package_of_another_checkout_is_refused(project):
    done = project("speed", "small", package=ROOT)
    assert done.returncode == 2 and f"keras_dl must be imported from {project.path}" in done.stderr
    assert not (project.path / "benchmarks/results").exists()


def test_what_it_writes_itself_does_not_make_the_tree_dirty(project):
    assert project("speed", "small").returncode == 0
    assert project("--docs").returncode == 0
    assert "0.5 [0.4, 0.6] (bar: at most 1)" in (project.path / "docs/results.md").read_text()
    assert project("speed", "small").returncode == 0


def test_tables_are_written_from_the_newest_rows(project):
    assert project("digits").returncode == 0
    file = project.path / "benchmarks/results/digits.jsonl"
    (old,) = records(file)
    file.write_text("".join(json.dumps({**old, "value": value}) + "\n" for value in (7.25, 0.75)))
    assert project("--docs").returncode == 0
    text = (project.path / "docs/results.md").read_text()
    when = f"{old['date'][:10]}, {old['commit'][:7]}"
    assert f"| convnet | 0.75 | 0.95 (unverified) | A paper | {old['seconds']:.0f} | {when} |" in text
    assert "old" not in text and "7.25" not in text and old["machine"] in text
    assert re.sub(r"(table:\w+ -->\n).*?(<!-- end)", r"\1\2", text, flags=re.DOTALL) == PAGE.replace("old\n", "")
    assert "| small | not measured (bar: at most 1) | not measured |" in text
    assert '<a id="table-digits"></a>Digits.' in text
    assert project("--docs").returncode == 0
    assert (project.path / "docs/results.md").read_text() == text  # written again, it is the same


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, "1 (bar: at most 1)"), (1.25, "1.25 **misses its bar: at most 1**")]
)
def test_a_missed_bar_is_marked_in_the_page_and_in_the_list(project, value, shown):
    assert project("speed", "small").returncode == 0
    file = project.path / "benchmarks/results/speed.jsonl"
    ratio, wait = records(file)
    del ratio["spread"]
    file.write_text("".join(json.dumps(record) + "\n" for record in ({**ratio, "value": value}, wait)))
    assert project("--docs").returncode == 0
    assert f"| small | {shown} | 12,346 |" in (project.path / "docs/results.md").read_text()
    assert ("misses its bar" in project().stdout) == ("misses" in shown)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sped"], "no table 'sped'. Nearest: speed. Tables: speed, digits, pictures."),
        (["speed", "smal"], "speed has no row 'smal'. Nearest: small. Rows: small, broken."),
        (["speed", "broken"], "`python benchmarks/broken.py` ended with 3 and left no figure; nothing was written."),
        (["--docs", "speed"], "--docs writes every table and takes no names; got speed."),
        (["--dosc"], "unrecognized arguments: --dosc"),
    ],
)
def test_mistakes_are_one_line(project, words, message):
    done = project(*words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_page_with_an_unknown_table_or_no_end_is_refused(project):
    for text, message in (
        ("<!-- table:digit -->\n<!-- end -->\n", "Nearest: digits."),
        ("<!-- table:digits -->\n", "must be followed by an <!-- end -->"),
    ):
        (project.path / "docs/results.md").write_text(text)
        done = project("--docs")
        assert done.returncode == 2 and message in done.stderr
        assert (project.path / "docs/results.md").read_text() == text


def test_the_pages_show_every_table_and_are_as_the_results_say(tmp_path, monkeypatch):
    """A page that was edited by hand between its marks, or not written again after a measurement, differs."""
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in written_pages.PAGES}
    marks = {page: [name for _, name, _ in written_pages.MARKED.findall(text)] for page, text in pages.items()}
    assert marks["README.md"] == ["architectures"] and marks["docs/recipes.md"] == ["recipes"]
    assert sorted(marks["docs/results.md"]) == sorted([*tables.TABLES, "missed", "own_data_recipes"])
    for page, text in pages.items():
        written = written_pages.MARKED.sub(lambda mark: mark[1] + written_pages.written(mark[2]) + mark[3], text)
        assert written == text, f"{page}: run python benchmarks/reproduce.py --docs"


def test_every_architecture_has_its_line_in_readme_and_rows_of_architectures_that_are_there():
    from keras_dl import models

    builders = [architecture.name for architecture in models.catalogue()]
    (_, _, *lines) = written_pages.architectures().splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == builders
    named = {row.architecture for table in tables.TABLES.values() for row in table.rows} - {""}
    assert named <= set(builders) and set(tables.HEADLINES) <= set(builders)
    for name in tables.HEADLINES:
        chosen, row, record = recorded.headline(name)
        measured = {name for name, _ in recorded.newest(chosen.table)}
        assert row.architecture == name and (record is not None or chosen.row not in measured)
