"""JSON files that may be damaged or edited wrongly: read, and checked against a schema.

    config = json_files.read(run.path / "config.json", records.Config)

The values returned here have the fields of their schema and are plain JSON: no duplicate keys, no number of more than
64 bits, not nested deeper than DEEPEST. For anything else the error is one line with the file and the field.
"""

import json
import math
import re
from pathlib import Path

import msgspec

from keras_dl.errors import UserError

LARGEST = 2**25  # bytes of a file
DEEPEST = 50  # objects and lists within each other
PLACE = re.compile(r"\.([^.\[`]+)|\[(?:(\d+)|\.\.\.)\]")  # a field, an index, or [...] for any key
ANY = "..."


def read(path, schema):
    """The JSON value in the file `path`, checked against `schema`.

    Args:
        path: of the file.
        schema: one of records.py, or another type that msgspec.convert takes.

    Raises:
        UserError: the file cannot be read, is not JSON in UTF-8, or does not have the schema; the message names the
            field.
    """
    path = Path(path)
    try:
        if not path.is_file():  # reading a pipe could wait forever
            raise UserError(f"{path} is no file.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is damaged: it may have at most {LARGEST} bytes; it has {path.stat().st_size}.")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return parse(data, schema, path)


def parse(data, schema, where):
    """As `read`, for JSON in `data` (bytes); `where` names its origin in error messages."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_key_twice, parse_int=_integer, parse_float=_float
        )
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is damaged: byte {error.start} is not UTF-8.") from error
    except RecursionError as error:
        raise UserError(f"{where} is damaged: it is nested too deeply.") from error
    except ValueError as error:
        raise UserError(f"{where} is damaged: {error}.") from error
    if _depth(value) > DEEPEST:
        raise UserError(f"{where} is damaged: it is nested too deeply; at most {DEEPEST} levels.")
    if (place := _not_utf8(value)) is not None:
        raise UserError(f"{where} is damaged: {place or 'it'}: a text ends within a character (a lone surrogate).")
    return check(value, schema, where)


def check(value, schema, where):
    """`value`, checked against `schema`.

    Raises:
        UserError: it does not have the schema; the message says `where` and which field.
    """
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        raise UserError(f"{where} is damaged: {_said(str(error), value, schema)}.") from error
    return value


def convert(value, kind, where):
    """`value`, a dict of JSON values, as an object of the dataclass `kind`; raises as `check` does."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{where} is damaged: {_said(str(error), value, kind)}.") from error


def _said(complaint, value, schema):
    """msgspec's "Expected `int`, got `str` - at `$.a[...].b`" with the field first, and its keys instead of [...]."""
    what, _, place = complaint.partition(" - at `$")
    what = what[0].lower() + what[1:].rstrip(".")
    steps = [int(number) if number else name or ANY for name, number in PLACE.findall(place)]
    for i, step in enumerate(steps):
        if step is ANY:
            holder = _at(value, steps[:i])
            wrong = (key for key in holder if not _holds(_with(value, steps[:i], {key: holder[key]}), schema))
            steps[i] = next(wrong, ANY)
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    return f"{path}: {what}" if path else what


def _at(value, steps):
    for step in steps:
        value = value[step]
    return value


def _with(value, steps, new):
    """A copy of `value` with `new` at the path `steps`."""
    if not steps:
        return new
    copy = value.copy()
    copy[steps[0]] = _with(value[steps[0]], steps[1:], new)
    return copy


def _holds(value, schema):
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError:
        return False
    return True


def _no_key_twice(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return value


def _not_utf8(value, place=""):
    """The path of a text or key in `value` that cannot be encoded in UTF-8; None if there is none."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return place
        return None
    inner = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, item in inner:
        below = f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}".lstrip(".")
        field = _not_utf8(key if isinstance(key, str) else "", below)
        field = _not_utf8(item, below) if field is None else field
        if field is not None:
            return field
    return None


def _integer(text):
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"a number must have at most 64 bits; got {text[:24]}{'...' if len(text) > 24 else ''}")
    return int(text)


def _float(text):
    if math.isinf(value := float(text)):
        raise ValueError(f"a number must be a float of 64 bits; got {text[:24]}")
    return value


def _depth(value):
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth
