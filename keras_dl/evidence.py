"""What proves an architecture: the laws (tests of its equations) that hold it, and its recorded figures.

Both stand in a checkout of the project, not in an installed package. They are read from the sources when they are
asked for, without running a test and without TensorFlow, so that no list of them can be out of date.
"""

import ast
import functools
import importlib
import sys
from pathlib import Path

from keras_dl import registration

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
BENCHMARKS = ROOT / "benchmarks"
LAWS = ("test_laws*.py", "test_oracle*.py")  # the files whose tests are laws
TABLE = "CASES"  # of tests/cases.py: {row: a small model of a builder}, over which the common laws run


def in_checkout():
    """Are the tests and the recorded figures here?"""
    return TESTS.is_dir() and BENCHMARKS.is_dir()


def laws(architecture):
    """The laws that hold an architecture.

    They are those that name its builder or a layer of ours that its file imports, those that name one of its rows in
    tests/cases.py, and those that run over all rows.

    Args:
        architecture: a row of models.catalogue().

    Returns:
        {file name: {test: the first line of its docstring, or ""}}, the files and the tests in their order.
    """
    builder = f"build_{architecture.name}"
    subjects = {builder, *_layers(ROOT / architecture.file)}
    rows = {row: builder in words for row, words in _rows().items()}
    laws_by_file = {}
    for file in sorted(file for pattern in LAWS for file in TESTS.glob(pattern)):
        definitions, docstrings = _definitions(file)
        concerned = _concerned(definitions, subjects, rows)
        tests = {test: docstrings[test] for test in definitions if test.startswith("test_") and test in concerned}
        if tests:
            laws_by_file[file.name] = tests
    return laws_by_file


def recorded():
    """benchmarks/recorded.py, which reads the recorded figures."""
    sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
    try:
        return importlib.import_module("recorded")
    finally:
        sys.path.remove(str(BENCHMARKS))


def _layers(file):
    """The layers of ours that a model file imports, itself or through a file that model files share."""
    classes, layers = registration.names(), set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("keras_dl."):
            continue
        names = {alias.name for alias in node.names}
        if node.module.startswith("keras_dl.layers"):
            layers |= names & classes.keys()
        shared = {node.module.rpartition(".")[2], *names} if node.module.startswith("keras_dl.models") else set()
        for name in shared:
            if name.startswith("_") and file.with_name(f"{name}.py").exists():
                layers |= _layers(file.with_name(f"{name}.py"))
    return layers


@functools.cache
def _rows():
    """{row of the table in tests/cases.py: the words of its entry}"""
    file = TESTS / "cases.py"
    body = ast.parse(file.read_text(encoding="utf-8")).body if file.exists() else []
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == TABLE and isinstance(node.value, ast.Dict):
            entries = zip(node.value.keys, node.value.values, strict=True)
            return {key.value: _words(value) for key, value in entries if isinstance(key, ast.Constant)}
    return {}


@functools.cache
def _definitions(file):
    """({name at a file's top: the words of its definition}, {function: the first line of its docstring or ""})"""
    definitions, docstrings = {}, {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = _words(node)
            docstrings[node.name] = (ast.get_docstring(node) or "").partition("\n")[0]
        elif isinstance(node, ast.Assign):
            definitions |= {target.id: _words(node) for target in node.targets if isinstance(target, ast.Name)}
    return definitions, docstrings


def _concerned(definitions, subjects, rows):
    """The names of a file that mention a subject, themselves or through another of these names.

    Args:
        definitions: {name: words of its definition}.
        subjects: names of the builder and its layers.
        rows: {row of the table: is it of the builder?}. Who uses the table and names rows is about these rows alone.
    """

    def about(words, names):
        named = words & rows.keys()
        if TABLE in words and named:
            return any(rows[row] for row in named) or bool(words & subjects)
        return bool(words & names)

    concerned, before = set(), None
    while concerned != before:
        before = concerned
        names = subjects | before | ({TABLE} if any(rows.values()) else set())
        concerned = {name for name, words in definitions.items() if about(words, names)}
    return concerned


def _words(node):
    """The names, attributes and strings in a piece of source."""
    words = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            words.add(inner.id)
        elif isinstance(inner, ast.Attribute):
            words.add(inner.attr)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            words.add(inner.value)
    return words
