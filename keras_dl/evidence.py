"""The evidence for an architecture: its laws (tests of its equations) and its recorded figures.

Both exist in a checkout of the project only, not in an installed package. They are read from the sources on request,
without running a test and without TensorFlow, so no list of them can be out of date.
"""

import ast
import dataclasses
import functools
import importlib
import sys
from pathlib import Path

from keras_dl import registration

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
BENCHMARKS = ROOT / "benchmarks"
LAWS = ("test_laws*.py", "test_oracle*.py")  # the files whose tests are laws
TABLE = "CASES"  # in tests/cases.py: {row: a small model of a builder}, on which the common laws are tested


def in_checkout():
    """Whether the tests and the recorded figures are here."""
    return TESTS.is_dir() and BENCHMARKS.is_dir()


def laws(architecture):
    """The laws of an architecture.

    They are the tests that mention its builder or one of our layers that its file imports, those that use one of its
    rows of the table in tests/cases.py, and those that run on all rows. A test that selects rows by a condition of its
    own counts as one that runs on all rows.

    Args:
        architecture: a row of models.catalogue().

    Returns:
        {file name: {test: the first line of its docstring, or ""}}, files sorted by name, tests in their order.
    """
    subjects = {f"build_{architecture.name}", *_layers(ROOT / architecture.file)}
    rows, selectors = _table()
    own_rows = {row for row, words in rows.items() if f"build_{architecture.name}" in words}
    laws_by_file = {}
    for file in sorted(file for pattern in LAWS for file in TESTS.glob(pattern)):
        definitions = _definitions(file)
        direct = {
            name
            for name, definition in definitions.items()
            if definition.words & subjects or definition.selected(rows, selectors) & own_rows
        }
        concerned = _with_users(direct, definitions)
        tests = {
            name: definition.docstring
            for name, definition in definitions.items()
            if name.startswith("test_") and name in concerned
        }
        if tests:
            laws_by_file[file.name] = tests
    return laws_by_file


def recorded():
    """The module benchmarks/recorded.py, which reads the recorded figures."""
    sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package
    try:
        return importlib.import_module("recorded")
    finally:
        sys.path.remove(str(BENCHMARKS))


def _layers(file):
    """Names of our layers that a model file imports, directly or through a file shared by model files."""
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


@dataclasses.dataclass
class _Definition:
    """What a definition at the top level of a file refers to.

    Attributes:
        words: the names, attributes and strings in it.
        docstring: the first line, or "".
        takes_all: it uses the whole table of models.
        takes_a_row: it looks up a row whose name is a variable.
        rows: the rows that it looks up by a constant name.
        calls: [(function, strings among its arguments)].
    """

    words: set = dataclasses.field(default_factory=set)
    docstring: str = ""
    takes_all: bool = False
    takes_a_row: bool = False
    rows: set = dataclasses.field(default_factory=set)
    calls: list = dataclasses.field(default_factory=list)

    def selected(self, rows, selectors):
        """The rows of the table that it uses.

        Args:
            rows: {row: words of its entry}.
            selectors: names of the functions that select rows by such words.
        """
        if self.takes_all:
            return set(rows)
        chosen = self.rows | (self.words & rows.keys() if self.takes_a_row else set())
        for function, strings in self.calls:
            if function in selectors:  # such as "having": all rows whose entries have these words
                chosen |= {row for row, words in rows.items() if strings <= words}
        return chosen


def _with_users(names, definitions):
    """The names, and all names whose definitions use one of them, directly or indirectly."""
    users, before = set(names), None
    while users != before:
        before = set(users)
        users |= {name for name, definition in definitions.items() if definition.words & before}
    return users


@functools.cache
def _table():
    """({row of the table in tests/cases.py: words of its entry}, names of the functions there that select rows)."""
    file = TESTS / "cases.py"
    if not file.exists():
        return {}, set()
    definitions = _definitions(file)
    constants = {name: definition.words for name, definition in definitions.items() if name.isupper() and name != TABLE}
    rows = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == TABLE and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                words = _read(value).words
                rows[ast.literal_eval(key)] = words.union(*(constants[word] for word in words & constants.keys()))
    selectors = {name for name, definition in definitions.items() if definition.takes_all}
    return rows, selectors


@functools.cache
def _definitions(file):
    """{name: _Definition} of all definitions at the top level of a file."""
    definitions = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = _read(node)
            definitions[node.name].docstring = (ast.get_docstring(node) or "").partition("\n")[0]
        elif isinstance(node, ast.Assign):
            definitions |= {target.id: _read(node) for target in node.targets if isinstance(target, ast.Name)}
    return definitions


def _read(node):
    definition, looked_up, named = _Definition(), 0, 0
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            definition.words.add(inner.id)
            named += inner.id == TABLE
        elif isinstance(inner, ast.Attribute):
            definition.words.add(inner.attr)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            definition.words.add(inner.value)
        elif isinstance(inner, ast.Subscript) and getattr(inner.value, "id", "") == TABLE:
            looked_up += 1
            if isinstance(inner.slice, ast.Constant):
                definition.rows.add(inner.slice.value)
            else:
                definition.takes_a_row = True
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
            strings = {word.value for word in inner.args if isinstance(word, ast.Constant)}
            definition.calls.append((inner.func.id, strings))
    definition.takes_all = named > looked_up
    return definition
