"""Checks of builders' arguments: one sentence that says who, what must hold, what came, and the nearest value."""

import difflib
from numbers import Integral, Real


def image_classifier(who, input_shape, num_classes):
    """Refuse what no image classifier can be built for."""
    whole_numbers(who, "input_shape", input_shape, length=3, example=(28, 28, 1))
    if not _whole(num_classes) or num_classes < 2:
        raise ValueError(f"{who}: num_classes must be a whole number of at least 2; got {num_classes!r}. Nearest: 2.")


def whole_number(who, name, value):
    """Refuse what is not a whole number of at least 1."""
    if not _whole(value) or value < 1:
        near = max(1, round(value)) if isinstance(value, float) and abs(value) < 1e9 else 1
        raise ValueError(f"{who}: {name} must be a whole number of at least 1; got {value!r}. Nearest: {near}.")


def whole_numbers(who, name, value, *, length=None, example):
    """Refuse what is not a tuple of whole numbers of at least 1, `length` of them if that is given."""
    sized = isinstance(value, (tuple, list)) and len(value) > 0 and length in (None, len(value))
    if not sized or not all(_whole(v) and v >= 1 for v in value):
        how_many = f"{length} " if length else ""
        raise ValueError(
            f"{who}: {name} must be a tuple of {how_many}whole numbers of at least 1, such as {example}; got {value!r}."
        )


def share(who, name, value):
    """Refuse what is not a share in [0, 1)."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value < 1:
        near = 0.9 if isinstance(value, Real) and value >= 1 else 0.0
        raise ValueError(f"{who}: {name} must be a share in [0, 1); got {value!r}. Nearest: {near}.")


def yes_or_no(who, name, value):
    """Refuse what is neither True nor False: a string would count as True."""
    if not isinstance(value, bool):
        raise ValueError(f"{who}: {name} must be True or False; got {value!r}.")


def one_of(who, name, value, allowed):
    """Refuse what is not one of `allowed`, all strings or all whole numbers."""
    if isinstance(value, type(allowed[0])) and value in allowed:
        return
    if isinstance(value, Real) and isinstance(allowed[0], Real):
        near = min(allowed, key=lambda a: abs(a - value))
    else:
        near = max(allowed, key=lambda a: difflib.SequenceMatcher(None, str(value), str(a)).ratio())
    choices = ", ".join(map(repr, allowed))
    raise ValueError(f"{who}: {name} must be one of {choices}; got {value!r}. Nearest: {near!r}.")


def _whole(value):
    return isinstance(value, Integral) and not isinstance(value, bool)
