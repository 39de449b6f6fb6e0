"""What is printed may lose characters; it never ends a run."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_dl import console

ROOT = Path(__file__).resolve().parent.parent
# A run that prints a table and class names that few terminals have, and then writes its result to a new file.
RUN = """
import sys
from keras_dl import command_line

def main():
    import rich.console, rich.table
    table = rich.table.Table("class")
    table.add_row("Gänse \\udcff")
    for number in range(3000):  # more than a pipe holds
        print("Gänse, 家, not UTF-8: \\udcff", flush=number % 100 == 0)
    rich.console.Console().print(table)
    print("a warning: Gänse \\udcff", file=sys.stderr)
    with open(sys.argv[1], "w") as file:
        file.write(f"{file.fileno()} {sys.stdout.isatty()}")

command_line.run(main)
"""
SHELLS = {  # how a shell starts `"$@"`
    "letters that the terminal lacks": 'PYTHONIOENCODING=ascii "$@" > /dev/null',
    "LANG=C": 'LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$@" > /dev/null',
    "a reader that is gone": '"$@" | head -1; exit ${PIPESTATUS[0]}',
    "a full device": '"$@" > /dev/full',
    "a full device, unbuffered": 'PYTHONUNBUFFERED=1 "$@" > /dev/full',
    "closed": '"$@" >&-',
    "all closed": '"$@" <&- >&- 2>&-',
    "full device for errors": '"$@" > /dev/null 2> /dev/full',
}


def shell(line, *words):
    command = ["bash", "-c", line, "bash", sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")


@pytest.mark.parametrize("line", SHELLS.values(), ids=SHELLS)
def test_a_run_outlives_its_output(tmp_path, line):
    if not Path("/dev/full").exists() and "full" in line:
        pytest.skip("device: there is no /dev/full")
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    done = shell(line, tmp_path / "run.py", tmp_path / "result")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    descriptor, is_terminal = (tmp_path / "result").read_text().split()
    assert int(descriptor) > 2 and is_terminal == "False"  # not what TensorFlow writes its warnings to


@pytest.mark.parametrize("words", [["list"], ["--help"], ["list", "--saved-models", "nothing"]], ids=" ".join)
def test_a_command_whose_reader_is_gone_ends_without_a_traceback(words):
    done = shell('"$@" | head -1; exit ${PIPESTATUS[0]}', "-m", "keras_dl", *words)
    assert done.returncode == 0 and not done.stderr and done.stdout.count("\n") == 1


def test_letters_that_a_terminal_lacks_are_written_as_their_codes():
    program = "from keras_dl import command_line; command_line.run(lambda: print('Gänse \\udcff'))"
    assert shell('PYTHONIOENCODING=ascii "$@"', "-c", program).stdout == "G\\xe4nse \\udcff\n"
    assert shell('PYTHONIOENCODING=utf-8 "$@"', "-c", program).stdout == "Gänse \\udcff\n"


def test_a_mistake_is_said_in_letters_that_the_terminal_has():
    done = shell('PYTHONIOENCODING=ascii "$@"', "apps/classify_images.py", "--model", "Gänse")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "G\\xe4nse" in done.stderr


def test_a_terminal_stays_one():
    program = "import sys; from keras_dl import command_line; command_line.run(lambda: print(sys.stdout.isatty()))"
    reader, terminal = os.openpty()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=terminal, check=True)
    assert os.read(reader, 100).split() == [b"True"]
    os.close(reader), os.close(terminal)


def test_the_streams_of_a_test_or_a_notebook_stay(monkeypatch):
    mine = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", mine)
    console.steady()
    assert sys.stdout is mine


@pytest.mark.slow
@pytest.mark.parametrize("line", ['PYTHONIOENCODING=ascii "$@"', '"$@" > /dev/full', '"$@" >&-'])
def test_an_app_exports_whatever_becomes_of_its_output(tmp_path, line):
    rng = np.random.default_rng(0)
    for name in ("Gänse", "家"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(12):
            picture = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "pictures" / name / f"{number}.png")
    flags = ["--model", "linear", "--trials", "1", "--trial-epochs", "1", "--epochs", "1", "--image-size", "8"]
    app = ["apps/classify_images.py", "--dataset", tmp_path / "pictures", "--out", tmp_path]
    done = shell(line, *app, *flags)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert list(tmp_path.glob("saved_models/*/1/card.json"))


FLAGS = (
    "Chosen for 180 pictures: " + " ".join(f"--learning-rate{k} 0.00{k}" for k in range(9)) + " /a/path-with-hyphens"
)


@pytest.mark.parametrize("width", [30, 60, 100])
def test_on_a_terminal_a_sentence_is_broken_at_spaces_and_nowhere_else(width, capsys, monkeypatch):
    """A flag that is broken after one of its hyphens could not be pasted."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    console.say(FLAGS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1 and " ".join(line.strip() for line in lines) == FLAGS
    assert max(map(len, lines)) < max(width, console.NARROWEST + 1)
    table = "| class | precision |\n" + "| a very long row |" * 20
    console.say(table)
    assert capsys.readouterr().out == f"{table}\n"


def test_in_a_pipe_a_sentence_is_one_line(capsys):
    console.say(FLAGS)
    assert capsys.readouterr().out == f"{FLAGS}\n"


def test_there_is_one_way_to_print_a_sentence():
    """Whatever is escaped by hand and printed to standard output should go through `say`."""
    for path in (ROOT / "keras_dl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print" and path.name != "console.py":
                words = " ".join(map(ast.unparse, node.args))
                elsewhere = any(word.arg == "file" for word in node.keywords)
                assert elsewhere or "printable(" not in words, f"{path.name}:{node.lineno}: say it with console.say"


def test_what_a_run_says_commands_no_terminal(run, capsys):
    run.say("class \x1b[31mred\nand a line")
    assert capsys.readouterr().out == "class \\x1b[31mred\nand a line\n"
