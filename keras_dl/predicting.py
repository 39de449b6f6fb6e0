"""`python -m keras_dl predict`: call an endpoint of an export for every INPUT, and print and write its answers.

The features in the export's card determine how an INPUT is read, and how an answer is printed and written. An INPUT
that cannot be read or is refused is reported on stderr with the reason, and the others are answered.
"""

import csv
import dataclasses
import io
import json
import math
import os
import re
import sys
from pathlib import Path

from keras_dl import atomic, cards, command_line, console, imports, inputs, paths, tables, wording
from keras_dl.errors import Refused, UserError, printable
from keras_dl.features import words
from keras_dl.waiting import waiting
from keras_dl.wording import counted

LONGEST_PLACE = 300  # longest description of an INPUT in a message, in characters


@dataclasses.dataclass(frozen=True)
class Question:
    """An endpoint, and the part of a request that is known before the INPUTs are read.

    Attributes:
        name: of the endpoint.
        features, outputs: {name: features.Feature} of its inputs and outputs.
        shapes: {output: its shape}.
        scalars: {input: number}, values of the scalar inputs.
        fed: {input: features.Feature}, the inputs that are read from INPUTs.
    """

    name: str
    features: dict
    outputs: dict
    shapes: dict
    scalars: dict
    fed: dict

    @property
    def by_line(self):
        return any(feature.by_line for feature in self.fed.values())


@dataclasses.dataclass
class Answer:
    """One row of an endpoint's answers.

    Attributes:
        asked: {column: text}, the INPUT that it answers.
        values: {output: plain lists, numbers and strings}; None if the line was empty or refused.
        read: the value that was read from the INPUT; None if nothing was read.
    """

    asked: dict
    values: dict | None
    read: object = None


def predict(asked):
    """Call an export's endpoint for every INPUT, print a table, and write --out.

    Raises:
        UserError: the command line or the export is wrong, or no INPUT could be answered.
        SystemExit: only some INPUTs could be answered (status 1).
    """
    folder, card = cards.find(asked.export)
    question = _question(asked, folder, card)
    out = _checked_out(asked.out, question)
    failures = []
    sources = inputs.sources(asked.inputs, question.fed, failures)
    if failures and not sources:
        _end(failures, [])

    with imports.quiet_tensorflow():
        from keras_dl import export, machine
    machine.prepare_to_answer()
    exported = export.load(folder, trust=asked.trust)

    if question.fed:
        answers = answers_to(exported, question, sources, failures)
    else:
        with waiting(_doing(question)):
            rows = _rows(_ask(exported, question, {}, f"endpoint {question.name}"))
        if not rows:
            said = ", ".join(f"{name}={value}" for name, value in question.scalars.items())
            raise UserError(f"predict: the answer of endpoint {question.name} to {said} is empty.")
        numbers = [{"row": str(number)} for number in range(1, 1 + len(rows))]  # those of the files of --out
        answers = [Answer(number if len(rows) > 1 else {}, row) for number, row in zip(numbers, rows, strict=True)]
    if answers or not failures:
        _print_answers(answers, question)
        if out is not None:
            _write_out(out, answers, question)
        else:
            _say_how_to_write(question)
    if failures:
        _end(failures, answers)


def _doing(question):
    """What an endpoint without files is doing, and how much of it where the card says so: a graph reports nothing."""
    drawn = next((f for f in question.outputs.values() if f.kind == "image" and f.preprocess is not None), None)
    if drawn is None or "n" not in question.scalars:
        return f"endpoint {question.name} is computing its answer ..."
    values = counted(math.prod(drawn.preprocess.input_shape), "values")
    return f"endpoint {question.name} is drawing {counted(question.scalars['n'], 'pictures')} of {values} each ..."


def _question(asked, folder, card):
    """The Question of a command line to the export with this card.

    Raises:
        UserError: there is no such endpoint, a scalar does not fit, or the endpoint cannot take the INPUTs.
    """
    name = asked.endpoint or next(iter(card["endpoints"]))
    if name not in card["endpoints"]:
        near = wording.nearest(name, card["endpoints"])
        raise UserError(f"--endpoint: {folder} has no {name!r}.{near} It has: {', '.join(card['endpoints'])}.")
    shapes = {output: tensor["shape"] for output, tensor in card["endpoints"][name]["outputs"].items()}
    features, outputs = (cards.features_of(card, name, way) for way in ("inputs", "outputs"))
    scalars = _scalars(asked.set, features, name)
    return Question(name, features, outputs, shapes, scalars, _fed(features, name, asked.inputs))


def _scalars(pairs, features, endpoint):
    """{input: value} of the endpoint's scalar inputs: values of --set, else the card's defaults."""
    scalars = {name: feature for name, feature in features.items() if feature.is_scalar}
    if pairs and not scalars:
        raise UserError(f"--set: endpoint {endpoint} has no scalar inputs; it takes {', '.join(features)}.")
    values = {name: feature.default for name, feature in scalars.items() if feature.default is not None}
    values |= command_line.assignments(pairs, set(scalars), f"endpoint {endpoint}")
    for name, value in values.items():
        scalars[name].check_value(name, value)
    missing = [name for name in scalars if name not in values]
    if missing:
        raise UserError(f"--set: endpoint {endpoint} needs {', '.join(f'--set {name}=...' for name in missing)}.")
    return values


def _fed(features, endpoint, names):
    """{input: feature} of the inputs that are read from INPUTs; {} if the endpoint has only scalar inputs."""
    others = {name: feature for name, feature in features.items() if not feature.is_scalar and not feature.follows}
    fed = {name: feature for name, feature in others.items() if feature.is_fed}
    fed = dict(sorted(fed.items(), key=lambda item: item[1].position))
    one_line = all(feature.by_line for feature in fed.values())
    one_line &= [feature.position for feature in fed.values()] == list(range(len(fed)))
    several = len(others) > 1 and not one_line
    if len(fed) < len(others) or several:
        unsupported = [
            f"{name} ({words.shortened(feature.kind)})" for name, feature in others.items() if name not in fed
        ]
        raise UserError(
            f"predict: cannot feed endpoint {endpoint} of {cards.CARD} from files: {', '.join(unsupported or others)}."
        )
    if fed and not names:
        raise UserError(f"predict: endpoint {endpoint} takes {inputs.wanted(fed)}.")
    if names and not fed:
        raise UserError(f"predict: endpoint {endpoint} takes no files; got {', '.join(names)}.")
    return fed


def _checked_out(path, question):
    """The Path of --out, None without --out; UserError if answers cannot be written there."""
    if path is None:
        return None
    suffixes = [".json", ".csv", *_writers(question)]
    out = paths.expanded(path)
    if out.suffix not in suffixes:
        raise UserError(f"--out: must end in {' or '.join(suffixes)}; got {path}.")
    if os.path.isdir(out):
        raise UserError(f"--out: {path} cannot be written: it is a folder.")
    above = next(folder for folder in (out.absolute()).parents if os.path.lexists(folder))
    if not os.path.isdir(above):
        raise UserError(f"--out: {path} cannot be written: {above} is no folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"--out: {path} cannot be written: nothing may be written in {above}.")
    return out


def _writers(question):
    """{suffix: (output, its feature)} of the outputs that can be written as files, such as images."""
    writers = {}
    for name, feature in question.outputs.items():
        for suffix in feature.written_as:
            writers.setdefault(suffix, (name, feature))
    return writers


def answers_to(exported, question, sources, failures):
    """An Answer for every row; errors of INPUTs that cannot be read or are refused are appended to `failures`."""
    answers, count = [], max(feature.at_once for feature in question.fed.values())
    full = [source for source in sources if not _is_empty(source)]
    groups = iter([full[i : i + count] for i in range(0, len(full), count)])
    rows = (row for group in groups for row in _answers_of(exported, question, group, failures))
    for source in sources:
        if _is_empty(source):
            answers.append(Answer(_what_was_asked(question, source), None))
        else:
            answers += next(rows)
    for name in dict.fromkeys(source.name for source in sources) if question.by_line else ():
        _say_remarks(question, name, [source for source in sources if source.name == name])
    return answers if any(answer.values is not None for answer in answers) or not failures else []


def _is_empty(source):
    """Whether a line has nothing to ask about."""
    content = source.content if isinstance(source.content, tuple) else (source.content,)
    return all(isinstance(part, str) for part in content) and not "".join(content).strip()


def _answers_of(exported, question, sources, failures):
    """For each of the sources, which are sent in one request, the list of its Answers.

    If the request is refused, each half of it is tried, and so on until the refused source is alone: its error is
    appended to `failures`, and if it is a line, it gets an Answer without values.
    """
    try:
        values = _read(question, sources)
        batch = {
            name: feature.batch([row[name] for row in values]) for name, feature in question.fed.items()
        }  # fmt: skip
        first = next(iter(question.fed))
        follow = {
            name: [feature.of(row[first]) for row in values]
            for name, feature in question.features.items()
            if feature.follows
        }
        rows = _rows(_ask(exported, question, {**batch, **follow}, sources[0]))
    except UserError as error:
        if len(sources) > 1:
            half = len(sources) // 2
            return [
                *_answers_of(exported, question, sources[:half], failures),
                *_answers_of(exported, question, sources[half:], failures),
            ]
        if not failures and question.by_line:
            _ask(exported, question, _nothing(question), "the request")  # raises if every request fails
        failures.append(error)
        return [[Answer(_what_was_asked(question, sources[0]), None)] if question.by_line else []]
    if not question.by_line:
        _say_remarks(question, sources[0].place.partition("\n")[0], sources, values)
        return [[Answer(_what_was_asked(question, sources[0]), row, values[0][first]) for row in rows]]
    return [
        [Answer(_what_was_asked(question, source), row, value[first])]
        for source, row, value in zip(sources, rows, values, strict=True)
    ]


def _read(question, sources):
    """Read the sources: a list of {input: value}. UserError if one cannot be read."""
    values = []
    for source in sources:
        parts = source.content if isinstance(source.content, tuple) else (source.content,)
        try:
            values.append(
                {
                    name: feature.read(source._replace(content=part))
                    for (name, feature), part in zip(question.fed.items(), parts, strict=True)
                }
            )
        except UserError as error:
            raise UserError(f"predict: {error}") from error
    return values


def _nothing(question):
    return {name: feature.batch([]) for name, feature in question.fed.items()}


def _what_was_asked(question, source):
    """{column: text} of an INPUT, the first columns of its answer's row."""
    if isinstance(source.content, tuple):
        return dict(zip(question.fed, source.content, strict=True))
    return {"input": str(source.content) if question.by_line else str(source.content).partition("\n")[0]}


def _say_remarks(question, name, sources, values=None):
    """Print the features' remarks on what was read to stderr."""
    place = "standard input" if name == words.STANDARD_INPUT else words.shortened(name) if _is_text(sources) else name
    parts = [source.content if isinstance(source.content, tuple) else (source.content,) for source in sources]
    for number, (field, feature) in enumerate(question.fed.items()):
        given = [part[number] for part in parts] if values is None else [value[field] for value in values]
        for sentence in feature.remarks(place, given):
            print(printable(sentence), file=sys.stderr)


def _is_text(sources):
    return not isinstance(sources[0].content, Path)


def _end(failures, answers):
    """Report the failures and exit: UserError if nothing was answered, else SystemExit with status 1."""
    if len(failures) == 1 and not answers:
        raise failures[0]
    for error in failures:
        print(error, file=sys.stderr, flush=True)
    if not answers:
        raise UserError(f"predict: none of {counted(len(failures), 'inputs')} could be answered.")
    raise SystemExit(1)


def _ask(exported, question, given, source):
    """The answer to a request: {output: array}. UserError if the request is refused.

    Args:
        given: {input: array} of the inputs that are not scalar.
        source: the Source of the request, or a description of it, for the message.
    """
    import tensorflow as tf

    who = getattr(source, "place", source)
    try:
        return exported.call(question.name, **question.scalars, **given)
    except Refused as error:
        pattern = r"(?:\w+: )?a (?:picture|text|sentence|piece|recording) (may have at most .*)"
        of_it = re.fullmatch(pattern, error.sentence or "")
        if of_it:
            reason = f"is refused: it {of_it[1]}"
        elif error.sentence is None and (unreadable := _unreadable(question)):
            reason = unreadable
        else:
            reason = f"is refused: {error.sentence or str(error).rstrip('.')}"
        raise UserError(f"predict: {_shortened(who)} {reason}.") from error
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise UserError(f"predict: {_shortened(who)} is refused: this machine has too little memory for it.") from error


def _unreadable(question):
    """The features' message for a file that TensorFlow cannot read; "" if they have none."""
    return next((feature.unreadable for feature in question.fed.values() if feature.unreadable), "")


def _shortened(who):
    """An INPUT in a message: the full path of a file, or the beginning of a text."""
    return who if os.path.exists(who) else words.shortened(who.partition("\n")[0], LONGEST_PLACE)


def _rows(answer):
    """One {name: value} for each entry along the answer's first axis."""
    values = {name: _strings(array.tolist()) for name, array in answer.items()}
    if not all(array.ndim for array in answer.values()):
        return [values]
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _strings(value):
    if isinstance(value, list):
        return [_strings(inner) for inner in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _trimmed(answer, question):
    """{output: value} without the padding of the batch; for a line without an answer "" or None."""
    if answer.values is None:
        return {name: "" if feature.kind == "text" else None for name, feature in question.outputs.items()}
    row = {name: (question.outputs[name], value) for name, value in answer.values.items()}
    return {name: feature.trim(value, row) for name, (feature, value) in row.items()}


def _shown(question):
    """The outputs in tables and CSV files: all, or for lines those with one value per line."""
    if not question.by_line:
        return question.outputs
    return {name: feature for name, feature in question.outputs.items() if len(question.shapes[name]) == 1}


def _print_answers(answers, question):
    """Print a table with one row per answer."""
    shown, lines = _shown(question), []
    for answer in answers:
        values = _trimmed(answer, question)
        row = {name: (feature, values[name]) for name, feature in shown.items()}
        line = dict(answer.asked)
        for name, (feature, value) in row.items():
            line |= feature.columns(name, value, row)
        lines.append(line)
    texts = [name for name, feature in shown.items() if feature.kind == "text"]
    tables.show("", list(lines[0]) if lines else [], [list(line.values()) for line in lines], multiline=texts)


def _say_how_to_write(question):
    """Print which --out writes the outputs that a table cannot show, such as pictures."""
    for name, feature in question.outputs.items():
        if feature.written_as and feature.summarised:
            print(f"{name}: the table has no {feature.counted}; --out NAME{feature.written_as[0]} writes them as files")


def _write_out(out, answers, question):
    writers = _writers(question)
    rows = [_trimmed(answer, question) for answer in answers]
    if out.suffix in writers:
        name, feature = writers[out.suffix]
        writer = next(iter(question.fed.values())) if question.by_line else feature  # lines are written to one file
        values, likes = [row[name] for row in rows], [answer.read for answer in answers]
        _say_written(lambda: writer.write_all(values, out, likes), out)
    elif out.suffix == ".csv":
        _write(out, _csv([answer.asked | _cells(row, question) for answer, row in zip(answers, rows, strict=True)]))
    else:
        records = [answer.asked | row for answer, row in zip(answers, rows, strict=True)]
        _write(out, json.dumps(records, indent=2, ensure_ascii=False) + "\n")


def _cells(row, question):
    """{column: value} of a CSV file's row."""
    cells = {}
    for name, feature in _shown(question).items():
        cells |= feature.cells(name, row[name])
    return cells


def _write(path, text):
    def write():
        atomic.write_atomic(path, text.encode("utf-8", "backslashreplace").decode())
        return [path]

    _say_written(write, path)


def _say_written(write, path):
    """Call `write`, and print the paths that it returns, those of the files it wrote."""
    try:
        for place in write():
            console.say(f"written: {place}")
    except OSError as error:
        raise UserError(f"--out: {path} cannot be written: {error.strerror}.") from error


def _csv(rows):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
