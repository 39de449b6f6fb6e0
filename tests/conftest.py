"""What every test gets: a data folder of its own, the run's seed, and a rule about skips."""

import ast
import collections
import functools
import gc
import os
import tempfile
from pathlib import Path

import pytest
from row_limits import FAST_ROWS, LONG_ROWS

import keras_dl  # before TensorFlow: it sets the environment
from keras_dl import imports, runs

# A skip for any other reason fails a strict run (KERAS_DL_STRICT_SKIPS=1): nothing drops out unseen.
ALLOWED_SKIPS = (
    "oracle: PyTorch is not installed",
    "oracle: regioncam is not installed",
    "oracle: optax is not installed",
    "browser: Chromium is not installed",
    "data: ",
    "disk: a small tmpfs cannot be mounted",
    "device: ",
    "extra [serving] is not installed",  # the fast tests run without extras
    "extra [music] is not installed",
    "extra [signals] is not installed",
    "extra [translation] is not installed",
)
LONG_MARKS = "slow", "oracle", "browser", "data"
LONGEST = (
    "test_apps", "test_apps_sequences", "test_laws_models", "test_tuning", "test_endpoints_translation",
    "test_laws_sequences", "test_training", "test_summaries", "test_laws_recurrent_layers", "test_decoding_beam",
    "test_faults",
)  # fmt: skip
BY_ROW = ("test_laws_models", "test_laws_gradients", "test_laws_autoregressive")  # spread by the rows of tests/cases.py
_skipped = []

_config = tempfile.TemporaryDirectory(prefix="keras_dl-tests-config-")  # the key that signs exports is not the user's
os.environ["XDG_CONFIG_HOME"] = _config.name
if "TFDS_DATA_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="keras_dl-tests-")
    os.environ["TFDS_DATA_DIR"] = _folder.name


@pytest.fixture(scope="session", autouse=True)
def quick_tensorflow():
    """Tracebacks are not filtered, and kernels stay ready.

    A new seed throws away all kernels and functions that are ready to run: to make them ready again takes seconds.
    What is ready does not depend on what ran before, but for unseeded operations of tf.random, which nobody uses.
    """
    with imports.quiet_tensorflow():
        import keras
        import tensorflow as tf
        from tensorflow.python.eager import context
    keras.config.disable_traceback_filtering()  # a tenth of the time of small models, and an error says where it is
    tf.debugging.disable_traceback_filtering()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.pywrap_tfe, "TFE_ContextClearCaches", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def fresh_keras(quick_tensorflow):
    """Every test starts from one seed and float32, whatever ran before."""
    with imports.quiet_tensorflow():
        import keras
    keras.mixed_precision.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def answering_process():
    from answering import AnsweringProcess  # imports TensorFlow

    return AnsweringProcess()


@pytest.fixture
def one_process_answers(answering_process, monkeypatch):
    """Exports are asked in a process that is there already: to start one for each takes seconds."""
    from keras_dl import fresh_process

    monkeypatch.setattr(fresh_process, "ask", answering_process.ask)


_loaded = {}


@pytest.fixture(scope="module")
def loaded_once():
    """A SavedModel that was loaded in this process is not loaded again: loading and the first answer take seconds.

    It is known by its file, whatever its folder is called: what an export answers before it has its name is not asked
    of another copy afterwards.
    """
    import tensorflow as tf

    load = tf.saved_model.load

    def load_once(path):
        file = os.stat(os.path.join(path, "saved_model.pb"))
        key = file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size
        if key not in _loaded:
            _loaded[key] = load(path)
        return _loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", load_once)
        yield


@pytest.fixture
def run(tmp_path):
    return runs.Run(path=tmp_path / "run", root=tmp_path, name="convnet-digits", app="classify_images")


def pytest_runtest_logreport(report):
    _seconds[group_of(report.nodeid)] += report.duration
    note_skip(report)


def note_skip(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            _skipped.append(f"{report.nodeid}: {reason}")


pytest_collectreport = note_skip  # a module that skips itself


def pytest_addoption(parser):
    parser.addoption("--first-rows", action="store_true", help="of each parametrized test, the first row only")


def drop_all_but_first_rows(config, items):
    """Another CPython runs the same lines: the other rows differ in what TensorFlow computes."""
    of_test, kept, dropped = set(), [], []
    for item in items:
        test = item.path, getattr(item, "cls", None), getattr(item, "originalname", item.name)
        (dropped if test in of_test else kept).append(item)
        of_test.add(test)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before -m chooses by marks, and once more afterwards
def pytest_collection_modifyitems(config, items):
    """Mark the rows beyond FAST_ROWS, and sort: the files that take longest first, so that no worker ends alone."""
    fast, long = collections.Counter(), collections.Counter()
    for item in items:
        name = getattr(item, "originalname", None)
        if name in FAST_ROWS and not any(item.iter_markers("slow")):
            fast[name] += 1
            if fast[name] > FAST_ROWS[name]:
                item.add_marker(pytest.mark.slow)
        if name in LONG_ROWS and any(item.get_closest_marker(mark) for mark in LONG_MARKS):
            long[name] += 1
            if long[name] > LONG_ROWS[name]:
                item.add_marker(pytest.mark.exhaustive)
    rank = {f"{name}.py": k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))  # stable
    result = yield
    if config.getoption("first_rows"):
        drop_all_but_first_rows(config, items)
    return result


def pytest_collection_finish():
    """What was imported stays to the end: it is not looked through at each collection of garbage, nor that often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@functools.cache
def rows_of_the_table():
    """The names of the rows of tests/cases.py, read without running it: it imports TensorFlow."""
    tree = ast.parse(Path(__file__).with_name("cases.py").read_text(encoding="utf-8"))
    (table,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CASES"
    )
    return [key.value for key in table.keys]


def group_of(name):
    """What one process runs as a whole: the laws of a row of tests/cases.py, which share its model, or a file."""
    file, _, test = name.partition("::")
    if Path(file).stem in BY_ROW:
        arguments = test.partition("[")[2].rstrip("]")
        if of := [row for row in rows_of_the_table() if arguments == row or arguments.startswith(f"{row}-")]:
            return f"row {max(of, key=len)}"
    return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """--dist loadfile hands out groups. (pytest-xdist 3.8 ignores its own xdist_group with pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return ByGroup(config, log) if config.getvalue("dist") == "loadfile" else None


_seconds = collections.Counter()


def pytest_terminal_summary(terminalreporter):
    """Which rows and files take longest, what is made for several of their tests counted."""
    if not _seconds:
        return
    total = sum(_seconds.values())
    terminalreporter.section(f"slowest of {len(_seconds)} rows and files, {total:.0f} s together")
    for group, seconds in _seconds.most_common(10):
        terminalreporter.write_line(f"{seconds:6.1f} s  {group}")


def pytest_sessionfinish(session):
    if os.environ.get("KERAS_DL_STRICT_SKIPS") and _skipped:
        print("\nSkipped for a reason that is not on the allowed list:", *_skipped, sep="\n  ")
        session.exitstatus = 1


@pytest.fixture(scope="session")
def digits():
    return keras_dl.data.images.load("digits")
