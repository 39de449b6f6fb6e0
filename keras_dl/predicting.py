"""`python -m keras_dl predict`: an export's endpoint is asked about every INPUT, and its answers are shown and written.

An INPUT that cannot be read or is refused is named on stderr with the reason, and the others are answered.
"""

import csv
import io
import json
import os
import re
import reprlib
import sys
from pathlib import Path

from keras_dl import atomic, cards, feeding, imports, paths, settings, tables
from keras_dl.errors import Refused, UserError, printable

BESIDE = 4  # classes that a table lists after the best one
LARGEST = {"float16": 65504.0, "bfloat16": 3.3e38, "float32": 3.4028234e38, "float64": sys.float_info.max}


def predict(asked):
    """Ask an export's endpoint about every input, print a table, and write --out.

    Raises:
        UserError: the command line, the export or all of its inputs are wrong.
        SystemExit: some inputs were answered and some not (status 1).
    """
    folder, card = cards.find(asked.export)
    endpoint = asked.endpoint or next(iter(card["endpoints"]))
    if endpoint not in card["endpoints"]:
        near = settings.nearest(endpoint, card["endpoints"])
        raise UserError(f"--endpoint: {folder} has no {endpoint!r}.{near} It has: {', '.join(card['endpoints'])}.")
    specs, outputs = (card["endpoints"][endpoint][way] for way in ("inputs", "outputs"))
    scalars = _scalars(asked.set, specs, endpoint)
    fed = _fed(specs, scalars, endpoint, asked.inputs)
    kind, fields = next(iter(fed), None), list(fed.values())
    out = _checked_out(asked.out, outputs, kind)
    failures = []
    things = _things(asked.inputs, kind, fields, failures)
    if failures and not things:
        _end(failures, [])

    with imports.quiet_tensorflow():
        from keras_dl import export, machine
    machine.prepare_to_answer()
    served = export.load(folder, trust=asked.trust)

    def ask(given, who):
        return _rows(_ask(served, endpoint, {**scalars, **given}, who))

    tempi = []
    if kind is None:
        answers = ask({}, f"endpoint {endpoint}")
    elif kind == "sentence":
        answers = _of_lines(things, fields, card, ask, outputs, failures)
    else:
        answers = _of_files(things, kind, fields[0], specs, card, ask, failures, tempi)
    if answers or not failures:
        shown = {name: spec for name, spec in outputs.items() if kind != "sentence" or len(spec["shape"]) == 1}
        _print_answers(answers, outputs, shown)
        if out is not None:
            _write_out(out, answers, outputs, shown, tempi, card)
    if failures:
        _end(failures, answers)


def _checked_out(path, outputs, kind):
    """The Path that --out says, None where it says nothing; UserError where answers cannot be written there."""
    if path is None:
        return None
    suffixes = [".json", ".csv"]
    if _of_kind(outputs, "roll"):
        suffixes.append(".mid")
    if _of_kind(outputs, "text") and kind == "sentence":
        suffixes.append(".txt")
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


def _of_kind(outputs, kind):
    return [name for name, spec in outputs.items() if spec["kind"] == kind]


def _things(names, kind, fields, failures):
    """What there is to ask about: Paths of files, or Lines. What is wrong is added to `failures`."""
    if names.count("-") > 1:
        raise UserError("predict: standard input, INPUT -, can be read once.")
    things = []
    for name in names:
        try:
            for file in feeding.files_of(name, kind):
                try:
                    things += feeding.lines([file], fields) if kind == "sentence" else [feeding.check(file, kind)]
                except UserError as error:
                    failures.append(error)
        except UserError as error:
            failures.append(error)
    return things


def _of_lines(lines, fields, card, ask, outputs, failures):
    answers, refused = feeding.answered(lines, fields, ask, outputs)
    failures += refused
    for name in dict.fromkeys(line.name for line in lines):
        text = "\n".join(word for line in lines if line.name == name for word in line.words)
        feeding.say_if_unknown("standard input" if name == "-" else feeding.short(name), text, card)
    return answers


def _of_files(things, kind, field, specs, card, ask, failures, tempi):
    """Answers about pictures, MIDI files or texts; of MIDI files the tempo is added to `tempi`."""
    answers = []
    for thing in things:
        try:
            fed = feeding.read(thing, field, kind, card)
            rows = ask({name: value for name, value in fed.items() if name in specs}, getattr(thing, "place", thing))
        except UserError as error:
            failures.append(error)
            continue
        tempi += [fed.get("beats_per_minute")] * len(rows)
        shown = thing.words[0] if kind == "text" else str(thing)
        answers += [{"input": shown.partition("\n")[0], **row} for row in rows]
        if kind in feeding.PICTURES:
            feeding.say_if_inverted(thing, card)
        elif kind == "text":
            feeding.say_if_unknown(feeding.short(thing.place.partition("\n")[0]), shown, card)
    return answers


def _end(failures, answers):
    """Say what was not answered, and leave with the status that says so."""
    if len(failures) == 1 and not answers:
        raise failures[0]
    for error in failures:
        print(error, file=sys.stderr, flush=True)
    if not answers:
        raise UserError(f"predict: none of {len(failures)} inputs could be answered.")
    raise SystemExit(1)


def _scalars(pairs, specs, endpoint):
    """{name: value} of the endpoint's scalar inputs: what --set says over the card's defaults."""
    scalars = {name: spec for name, spec in specs.items() if not spec["shape"]}
    if pairs and not scalars:
        raise UserError(f"--set: endpoint {endpoint} has no scalar inputs; it takes {', '.join(specs)}.")
    values = {name: spec["default"] for name, spec in scalars.items() if "default" in spec}
    values |= settings.assignments(pairs, set(scalars), f"endpoint {endpoint}")
    for name, value in values.items():
        _check_scalar(name, value, scalars[name]["dtype"])
    missing = [name for name in scalars if name not in values]
    if missing:
        raise UserError(f"--set: endpoint {endpoint} needs {', '.join(f'--set {name}=...' for name in missing)}.")
    return values


def _check_scalar(name, value, dtype):
    whole = re.fullmatch(r"(u?)int(\d+)", dtype)
    kind = {"string": str, "bool": bool}.get(dtype, int if whole else (int, float))
    if not isinstance(value, kind) or (isinstance(value, bool) and dtype != "bool"):
        raise UserError(f"--set: {name} must be {dtype}; got {reprlib.repr(value)}.")
    if whole:
        bits = int(whole[2])
        least, most = (0, 2**bits - 1) if whole[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    elif dtype in LARGEST:
        least, most = -LARGEST[dtype], LARGEST[dtype]
    else:
        return
    if not least <= value <= most:  # nor is nan
        raise UserError(f"--set: {name} must be {dtype}, from {least} to {most}; got {reprlib.repr(value)}.")


def _fed(specs, scalars, endpoint, inputs):
    """{kind: name} of the inputs that an INPUT feeds, the source first; {} where the endpoint takes scalars alone."""
    others = [name for name in specs if name not in scalars and specs[name]["kind"] != "roll_steps"]
    kinds = sorted(specs[name]["kind"] for name in others)
    strange = [
        f"{name} ({feeding.short(specs[name]['kind'])})" for name in others if specs[name]["kind"] not in feeding.KINDS
    ]
    if kinds != list(feeding.PAIR) and (strange or len(others) > 1):
        raise UserError(
            f"predict: cannot feed endpoint {endpoint} of {cards.CARD} from files: {', '.join(strange or others)}."
        )
    if others and not inputs:
        raise UserError(f"predict: endpoint {endpoint} takes {feeding.takes(kinds)}.")
    if inputs and not others:
        raise UserError(f"predict: endpoint {endpoint} takes no files; got {', '.join(inputs)}.")
    return {kind: name for kind in kinds for name in others if specs[name]["kind"] == kind}


def _ask(served, endpoint, given, who):
    import tensorflow as tf

    try:
        return served.call(endpoint, **given)
    except Refused as error:
        of_it = re.fullmatch(r"(?:\w+: )?a (?:picture|text|sentence|piece) (may have at most .*)", error.sentence or "")
        if of_it:
            reason = f"is refused: it {of_it[1]}"
        elif isinstance(who, Path) and error.sentence is None:
            reason = feeding.UNREADABLE
        else:
            reason = f"is refused: {error.sentence or str(error).rstrip('.')}"
        raise UserError(f"predict: {_name(who)} {reason}.") from error
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise UserError(f"predict: {_name(who)} is refused: this machine has too little memory for it.") from error


def _name(who):
    """Who is asked about, in a message: a file's path in full, of a text its beginning."""
    return who if isinstance(who, Path) else feeding.short(who.partition("\n")[0], feeding.PLACE)


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


def _print_answers(answers, outputs, shown):
    """A table, one row an answer: the best classes with their scores where it has them, else the values to be shown."""
    classes, scores = (next(iter(_of_kind(outputs, kind)), None) for kind in ("classes", "scores"))
    ranked = classes is not None and scores is not None and len(outputs[classes]["shape"]) == 2
    lines = []
    for answer in answers:
        line = {name: value for name, value in answer.items() if name not in outputs}  # what was asked about
        if ranked:
            top = list(zip(answer[classes], answer[scores], strict=True))
            line["class"], line["probability"] = top[0][0], f"{100 * top[0][1]:.1f} %"
            line["then"] = ", ".join(f"{name} {100 * score:.1f} %" for name, score in top[1 : 1 + BESIDE])
        else:
            line.update({name: _shown(answer[name], spec["kind"]) for name, spec in shown.items()})
        lines.append(line)
    tables.show(
        "", list(lines[0]) if lines else [], [list(line.values()) for line in lines], multiline=_of_kind(shown, "text")
    )


def _shown(value, kind):
    if value is None:
        return ""
    return f"{len(value)} steps, {sum(map(sum, value))} keys on" if kind == "roll" else tables.few(value)


def _write_out(out, answers, outputs, shown, tempi, card):
    if out.suffix == ".mid":
        roll = _of_kind(outputs, "roll")[0]
        feeding.write_midi(out, [answer[roll] for answer in answers], tempi, card)
    elif out.suffix == ".txt":
        text = _of_kind(outputs, "text")[0]
        _write(out, "".join(f"{answer[text]}\n" for answer in answers))
    elif out.suffix == ".csv":
        hidden = outputs.keys() - shown.keys()
        rows = [{name: value for name, value in answer.items() if name not in hidden} for answer in answers]
        _write(out, _csv([_flat(row, card.get("classes", ())) for row in rows]))
    else:
        _write(out, json.dumps(answers, indent=2, ensure_ascii=False) + "\n")


def _write(path, text):
    try:
        atomic.write_atomic(path, text.encode("utf-8", "backslashreplace").decode())
    except OSError as error:
        raise UserError(f"--out: {path} cannot be written: {error.strerror}.") from error
    print(printable(f"written: {path}"))


def _csv(rows):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _flat(answer, classes):
    """Columns of a CSV row: a vector over the classes has one a class, any other numbers them."""
    row = {}
    for name, value in answer.items():
        if isinstance(value, list):
            labels = classes if name == "probabilities" and len(value) == len(classes) else range(1, len(value) + 1)
            row.update({f"{name}_{label}": inner for label, inner in zip(labels, value, strict=True)})
        else:
            row[name] = value
    return row
