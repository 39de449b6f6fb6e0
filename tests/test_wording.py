"""Counts agree with their nouns and verbs, and shares do not round to all or nothing."""

import ast
import re
from pathlib import Path

import pytest

from keras_dl.wording import counted, noun, percent, verb

ROOT = Path(__file__).resolve().parent.parent
FILES = [*sorted((ROOT / "keras_dl").rglob("*.py")), *sorted((ROOT / "apps").glob("*.py"))]
# What the project counts, in the plural.
NOUNS = {
    "arguments", "arrays", "batches", "bytes", "channels", "characters", "classes", "components", "cores", "epochs",
    "examples", "exports", "files", "images", "inputs", "keys", "layers", "lines", "logits", "minutes", "mistakes",
    "notes", "numbers", "outputs", "pairs", "parameters", "pictures", "pieces", "points", "regions", "resamples",
    "rows", "runs",
    "scores", "seconds", "sentences", "sequences", "steps", "sub-words", "tensors", "times", "tokens", "trials",
    "units", "updates", "values", "weights", "words",
}  # fmt: skip
# Numbers that are never 1, or no counts: {expression: why}.
NEVER_ONE = {
    "shape[0]": "pictures that fill gigabytes",
    "len(held)": "the noun is that of all pieces",
    "percent(right.mean())": "a share of the pictures",
    "ends[-1]": "time steps beyond the most that a piece may have",
    "count": "one alone has a sentence of its own",
    "step": "points of an accuracy, with a fraction",
    "model.parameters": "arguments follow",
    "len(comparison.runs)": "at least two",
    "run.resumed": "'once' is said of one",
    "', '.join(counts)": "counts of several splits",
    "most": "a bound of an endpoint",
    "seconds // length": "min and h have no plural",
    "split": "the name of a split",
    "batch_size + 1": "at least two",
}  # fmt: skip


def plain_counts(source):
    """(line, expression, noun) of each number in an f-string that stands before a plural and is not `counted`.

    The plural may also be the value of a variable, {len(rows)} {unit}.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            said = ast.unparse(value.value)
            a_float = value.format_spec is not None and re.search("[0-9.][fg]'?$", ast.unparse(value.format_spec))
            # up to two adjectives, as in "3 misclassified test examples"
            match = re.match(r" (?:[a-z-]+ ){0,2}?([a-z-]+s)\b", text.value)
            constant = re.fullmatch(r"(\w+\.)?[A-Z_]+|len\((\w+\.)?[A-Z_]+\)", said)
            if match and match[1] in NOUNS and not constant and not a_float and not said.startswith("counted("):
                yield node.lineno, said, match[1]
        for value, text, after in zip(node.values, node.values[1:], node.values[2:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(after, ast.FormattedValue):
                unit = ast.unparse(after.value)
                if getattr(text, "value", "") == " " and re.search(r"(^|\.)(units?|parts|plural)$", unit):
                    yield node.lineno, ast.unparse(value.value), unit


def test_the_scan_sees_what_it_must():
    """The law below would hold of anything if the scan saw nothing."""
    wrong = [
        'f"{n} {self.unit}"',
        'f"{n} epochs"',
        'f"{len(x):,} training examples"',
        'f"of the {n} bad weights are"',
        'f"{a}-{b} steps"',
    ]
    assert [len(list(plain_counts(source))) for source in wrong] == [1] * len(wrong)
    right = ["f\"{counted(n, 'epochs')}\"", 'f"{MOST} steps"', 'f"{nats:.3f} seconds"', 'f"{name} is"', 'f"{n}"']
    assert not any(list(plain_counts(source)) for source in right)


def test_no_number_stands_before_a_plural_whatever_it_is():
    """Where a count is printed, wording.counted chooses the noun's form: never "1 epochs"."""
    plain = [(str(path.relative_to(ROOT)), *each) for path in FILES for each in plain_counts(path.read_text())]
    assert not [each for each in plain if each[2] not in NEVER_ONE], "say it with wording.counted"
    assert NEVER_ONE.keys() == {each[2] for each in plain}, "not needed any more"


def test_there_is_one_way_to_choose_a_form():
    """No "{'s' if n > 1 else ''}" beside it."""
    ways = re.compile(r"""\{['"](s?|es|is|are|has|have|was|were)['"] if |else ['"](s|es|are|have|were)['"]\}""")
    for path in FILES:
        if path.name != "wording.py":
            assert not ways.search(path.read_text()), path


def test_forms_belong_to_their_numbers():
    plurals = ("classes", "batches", "entries", "pieces", "sub-words", "pictures", "test examples", "images", "losses")
    assert noun(1, "blocks of 100 tokens") == "block of 100 tokens" and noun(1, "sheep of cats") == "sheep of cats"
    singular = ["class", "batch", "entry", "piece", "sub-word", "picture", "test example", "image", "loss"]
    assert [noun(1, plural) for plural in plurals] == singular
    for number in (0, 2, 1000):
        assert [noun(number, plural) for plural in plurals] == list(plurals)
    assert (counted(1, "epochs"), counted(0, "epochs"), counted(12_345, "epochs")) == (
        "1 epoch", "0 epochs", "12,345 epochs",
    )  # fmt: skip
    verbs = ("are", "have", "were", "stand")
    assert [verb(1, plural) for plural in verbs] == ["is", "has", "was", "stands"]
    assert [verb(n, plural) for n in (0, 2) for plural in verbs] == [*verbs, *verbs]


@pytest.mark.parametrize("total", [3, 230, 10**6])
def test_nearly_all_is_not_all_and_nearly_nothing_is_not_nothing(total):
    assert percent(1.0) == percent(total / total) == "100%" and percent(0.0) == "0%"
    for count in {1, total // 3 + 1, total - 1}:
        said = percent(count / total)
        assert said not in ("0%", "100%")
        number = float(said.strip("<>%"))
        assert abs(number - 100 * count / total) <= (0.5 if "." not in said else 0.1)
