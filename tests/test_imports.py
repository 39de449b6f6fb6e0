"""Imports point one way (CONTRIBUTING.md, "Rooms"), and the light rooms stay light."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "keras_dl"
EVERYBODY = {"wording"}  # rooms that every other may import: they import nothing of ours
# A room and what it may import of ours besides. Apps may import everything.
MAY_IMPORT = {
    "wording": set(),
    "arguments": {"errors"},
    "layers": set(),
    "distributions": set(),
    "objectives": {"arguments", "distributions", "errors"},
    "segmentation": {"arguments"},
    "decoding": {"distributions"},
    "sequences": {"arguments", "decoding", "distributions"},
    "second_order": {"arguments", "errors", "laboratory", "parts"},
    "models": {"arguments", "layers", "objectives", "distributions", "decoding", "parts"},
    "lock": set(),
    "errors": set(),
    "console": {"errors"},
    "imports": {"console", "errors", "registration"},
    "registration": set(),
    "evidence": {"registration"},
    "atomic": set(),
    "json_files": {"errors"},
    "records": {"errors", "json_files"},
    "paths": {"errors"},
    "verification": {"errors"},
    "fresh_process": {"imports"},
    "card_sentences": set(),
    "formats": {"errors", "imports"},
    "runs": {
        "arguments",
        "atomic",
        "commands",
        "console",
        "errors",
        "json_files",
        "lock",
        "paths",
        "provenance",
        "records",
        "resuming",
    },
    "signals": set(),
    "provenance": set(),
    "past_runs": {"arguments", "errors", "histories", "json_files", "lock", "paths", "records", "runs", "settings"},
    "run_lists": {"arguments", "console", "errors", "past_runs", "paths", "tables"},
    "run_comparison": {
        "arguments",
        "console",
        "errors",
        "figures",
        "pages",
        "past_runs",
        "paths",
        "resuming",
        "tables",
    },
    "resuming": {"atomic", "errors", "histories", "json_files", "records"},
    "commands": set(),
    "course": {"commands", "data", "describing", "export", "half_precision", "initializing", "reports", "runs"},
    "half_precision": set(),
    "reports": {
        "atomic",
        "bootstrap",
        "features",
        "figures",
        "histories",
        "imports",
        "json_files",
        "markdown",
        "models",
        "pages",
        "records",
        "runs",
        "scores",
        "summaries",
        "tables",
    },
    "hyperparameters": {"command_line", "optimizers", "own_data", "records", "settings", "summaries"},
    "machine": {"errors", "imports", "waiting"},
    "checkpoint": {"atomic", "errors", "json_files", "parts", "records"},
    "parts": {"arguments", "errors"},
    "optimizers": {"arguments"},
    "own_data": {"arguments", "command_line", "data", "settings"},
    "lecture": set(),
    "laboratory": {
        "arguments",
        "atomic",
        "bootstrap",
        "cards",
        "commands",
        "data",
        "errors",
        "features",
        "figures",
        "imports",
        "layers",
        "objectives",
        "parts",
        "past_runs",
        "paths",
        "summaries",
        "verification",
        "weight_names",
    },
    "data": {"arguments", "atomic", "console", "errors", "extras", "features", "imports", "waiting"},
    "describing": {"console", "errors", "json_files", "records", "tables"},
    "waiting": {"console", "errors"},
    "extras": {"errors"},
    "command_line": {"arguments", "console", "errors", "json_files", "paths", "runs", "settings"},
    "settings": {"arguments", "errors"},
    "summaries": {"atomic", "errors", "figures", "parts", "tables", "waiting"},
    "restoring": set(),
    "weight_names": set(),
    "initializing": {
        "arguments",
        "atomic",
        "cards",
        "checkpoint",
        "data",
        "errors",
        "imports",
        "json_files",
        "optimizers",
        "parts",
        "paths",
        "records",
        "restoring",
        "runs",
        "verification",
        "weight_names",
    },
    "training": {
        "arguments",
        "atomic",
        "checkpoint",
        "errors",
        "histories",
        "json_files",
        "optimizers",
        "parts",
        "records",
        "restoring",
        "runs",
        "signals",
        "waiting",
        "weight_names",
    },
    "tuning": {
        "arguments",
        "atomic",
        "checkpoint",
        "errors",
        "records",
        "restoring",
        "signals",
        "summaries",
        "tables",
        "training",
        "waiting",
    },
    "endpoints": {"decoding", "distributions", "errors", "features", "imports", "waiting"},
    "features": {"atomic", "errors", "extras", "figures", "imports", "json_files", "markdown", "tables"},
    "figures": {"errors"},
    "markdown": {"errors"},
    "pages": {"atomic", "errors"},
    "inputs": {"data", "errors", "features"},
    "cards": {"errors", "features", "json_files", "paths", "provenance", "records"},
    "export": {
        "arguments",
        "atomic",
        "card_sentences",
        "cards",
        "commands",
        "endpoints",
        "errors",
        "formats",
        "fresh_process",
        "imports",
        "json_files",
        "paths",
        "records",
        "summaries",
        "verification",
    },
    "samples": {"atomic", "features", "summaries"},
    "bootstrap": set(),
    "bounds": {"decoding", "imports"},
    "frechet": {"errors"},
    "parzen": set(),
    "judging": {"cards", "data", "errors", "features", "frechet", "parzen", "verification", "waiting"},
    "histories": {"atomic", "errors"},
    "scores": {"arguments", "bootstrap", "errors"},
    "showing": {"card_sentences", "cards", "console", "errors", "tables", "verification"},
    "tables": {"errors"},
    "predicting": {
        "atomic",
        "cards",
        "command_line",
        "console",
        "errors",
        "export",
        "features",
        "imports",
        "inputs",
        "machine",
        "paths",
        "tables",
        "waiting",
    },
    "__main__": {
        "cards",
        "command_line",
        "console",
        "errors",
        "evidence",
        "lecture",
        "models",
        "past_runs",
        "predicting",
        "run_comparison",
        "run_lists",
        "showing",
        "tables",
    },
    "__init__": {"imports"},
}


def imports(path):
    """The rooms of ours that a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keras_dl":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("keras_dl."))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert room in MAY_IMPORT, f"{room} is a new room: say in MAY_IMPORT what it may import"
    assert set(imports(path)) - {room} - EVERYBODY <= MAY_IMPORT[room]
    assert room not in EVERYBODY or not MAY_IMPORT[room]


def test_no_two_files_of_the_data_import_each_other():
    folder = PACKAGE / "data"
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    imported = {name: set() for name in names}
    for name in names:
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "keras_dl.data":
                given = {alias.name for alias in node.names}
                assert given <= names, f"{name}: import {given - names} from the file that has it"
                imported[name] |= given
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras_dl.data."):
                imported[name].add(node.module.split(".")[2])
    graphlib.TopologicalSorter(imported).prepare()  # CycleError


def test_only_tuning_imports_keras_tuner():
    users = {p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*.py") if "import keras_tuner" in p.read_text()}
    assert users == {"tuning"}


def test_models_and_layers_draw_no_hidden_random_numbers():
    for path in [*(PACKAGE / "models").glob("*.py"), *(PACKAGE / "layers").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                assert (getattr(node.value.value, "id", ""), node.value.attr) != ("tf", "random"), path
                numpy = (getattr(node.value.value, "id", ""), node.value.attr) == ("np", "random")
                assert not numpy or node.attr == "SeedSequence", path  # which derives seeds and draws nothing


@pytest.mark.parametrize(
    "module",
    [
        "keras_dl",
        "keras_dl.arguments",
        "keras_dl.data",
        "keras_dl.command_line",
        "keras_dl.settings",
        "keras_dl.runs",
        "keras_dl.run_comparison",
        "keras_dl.run_lists",
        "keras_dl.machine",
        "keras_dl.models",
        "keras_dl.own_data",
    ],
)
def test_light_rooms_do_not_import_tensorflow(module):
    code = f"import {module}, sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
