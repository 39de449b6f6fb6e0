"""What proves an architecture: the laws (tests of its equations) that hold it, and its recorded figures.

Both stand in a checkout of the project, not in an installed package. They are read from the sources when they are
asked for, without running a test and without TensorFlow, so that no list of them can be out of date.
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
TABLE = "CASES"  # of tests/cases.py: {row: a small model of a builder}, over which the common laws run


def in_checkout():
    """Are the tests and the recorded figures here?"""
    return TESTS.is_dir() and BENCHMARKS.is_dir()


def laws(architecture):
    """The laws that hold an architecture.

    They are those that name its builder or a layer of ours that its file imports, those that take one of its rows of
    the table in tests/cases.py, and those that run over all rows. A test that chooses among the rows by a condition of
    its own counts as one that runs over all.

    Args:
        architecture: a row of models.catalogue().

    Returns:
        {file name: {test: the first line of its docstring, or ""}}, the files and the tests in their order.
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


@dataclasses.dataclass
class _Definition:
    """What a definition at a file's top says.

    Attributes:
        words: its names, attributes and strings.
        docstring: the first line, or "".
        takes_all: it uses the whole table of models.
        takes_a_row: it looks up a row whose name is a variable.
        rows: the rows that it looks up by their names.
        calls: [(function, strings among its arguments)].
    """

    words: set = dataclasses.field(default_factory=set)
    docstring: str = ""
    takes_all: bool = False
    takes_a_row: bool = False
    rows: set = dataclasses.field(default_factory=set)
    calls: list = dataclasses.field(default_factory=list)

    def selected(self, rows, selectors):
        """The rows of the table that it is about, of {row: words of its entry}."""
        if self.takes_all:
            return set(rows)
        chosen = self.rows | (self.words & rows.keys() if self.takes_a_row else set())
        for function, strings in self.calls:
            if function in selectors:  # "having", say: all rows whose entries have these words
                chosen |= {row for row, words in rows.items() if strings <= words}
        return chosen


def _with_users(names, definitions):
    """The names, and those whose definitions use one of them."""
    users, before = set(names), None
    while users != before:
        before = set(users)
        users |= {name for name, definition in definitions.items() if definition.words & before}
    return users


@functools.cache
def _table():
    """({row of the table in tests/cases.py: words of its entry}, the functions there that select rows)."""
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
    """{name at a file's top: its _Definition}"""
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
