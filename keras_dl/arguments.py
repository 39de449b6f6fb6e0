"""Argument checks: an annotation says what an argument may be, and every call is checked against it.

    @arguments.checked
    def build_mlp(units: Widths = (512, 512), dropout: Share = 0.0, vocabulary_size: Width | None = None): ...

A wrong argument raises ArgumentError: one sentence with the function and argument, what must hold, the value passed
and the nearest allowed value. Right values are passed on as plain Python: np.int64(4) as 4, a list as a tuple. Only
arguments annotated with a Kind are checked; relations between arguments are checked by the function itself.
The settings of a command line use the same kinds: `epochs: Annotated[int, Whole(1, 1_000_000)] = 20`.
"""

import difflib
import functools
import inspect
import numbers
import os
import re

from keras_dl.errors import UserError

LONGEST_SHOWN = 80  # characters of a value in a message
AUTO = "auto"  # what a user writes for a value that is to be worked out from the data
OPEN = (None, AUTO)  # values of a setting that is still to be worked out; None: it was not given


class ArgumentError(UserError):
    """An argument is of the wrong kind."""


class Kind:
    """What an argument may be.

    Attributes:
        must: a phrase that completes "must be".
    """

    must = ""

    def convert(self, value):
        """The value as plain Python.

        Raises:
            ValueError: it is not of this kind; the message is the nearest allowed value, or empty.
        """
        raise NotImplementedError

    def __or__(self, nothing):
        """`Kind | None`: an argument that may be None."""
        return Optional(self) if nothing is None else NotImplemented

    def __repr__(self):  # what help() and inspect.signature show
        return self.must


class Optional(Kind):
    """Another kind, or None."""

    def __init__(self, kind):
        self.kind, self.must = kind, f"{kind.must}, or None"

    def convert(self, value):
        return None if value is None else self.kind.convert(value)


class OrAuto(Kind):
    """Another kind, or "auto": the value is worked out from the data (own_data.fitted)."""

    def __init__(self, kind):
        self.kind, self.must = kind, f'{kind.must}, or "{AUTO}"'

    def convert(self, value):
        return value if isinstance(value, str) and value == AUTO else self.kind.convert(value)


class Whole(Kind):
    """A whole number from `least` to `most`; True and False do not count as numbers.

    >>> Whole(1, 1000)
    a whole number from 1 to 1,000
    """

    def __init__(self, least, most):
        self.least, self.most = least, most
        self.range = f"from {least:,} to {most:,}"
        self.must = f"a whole number {self.range}"

    def convert(self, value):
        if isinstance(value, numbers.Integral) and not isinstance(value, bool) and self.least <= value <= self.most:
            return int(value)
        raise ValueError(str(round(_clamped(value, self.least, self.most))))


class Number(Kind):
    """A number in an interval; nan is never allowed.

    Args:
        interval: in mathematical notation: "[0, 1)" is 0 <= x < 1.
        near: the value to suggest if the nearest end of the interval is open.

    >>> Number("[0, 1)", near=0.9)
    a number in [0, 1)
    """

    def __init__(self, interval, near=None):
        self.least, self.most = (float(end) for end in interval[1:-1].split(","))
        self.open = interval[0] == "(", interval[-1] == ")"
        self.near, self.must = near, f"a number in {interval}"

    def convert(self, value):
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if real and self._within(value) and self._within(float(value)):  # float() may round a Fraction to an open end
            return float(value) if not isinstance(value, numbers.Integral) else int(value)
        near = float(_clamped(value, self.least, self.most))
        near = near if self._within(near) else self.near
        raise ValueError("" if near is None else f"{near:g}")

    def _within(self, value):
        above = self.least < value if self.open[0] else self.least <= value
        return above and (value < self.most if self.open[1] else value <= self.most)


class _YesOrNo(Kind):
    """True or False, and nothing that is merely truthy, such as the string "False"."""

    must = "True or False"

    def convert(self, value):
        if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # NumPy's, in versions 1 and 2
            return bool(value)
        raise ValueError


class OneOf(Kind):
    """One of several strings, or of several whole numbers.

    >>> OneOf("relu", "tanh")
    one of 'relu', 'tanh'
    """

    def __init__(self, *choices):
        self.choices, self.must = choices, f"one of {', '.join(map(repr, choices))}"

    def convert(self, value):
        kind = str if isinstance(self.choices[0], str) else numbers.Integral
        if isinstance(value, kind) and not isinstance(value, bool) and value in self.choices:
            return type(self.choices[0])(value)
        if isinstance(value, numbers.Real) and kind is not str:
            near = _clamped(value, min(self.choices), max(self.choices))
            raise ValueError(repr(min(self.choices, key=lambda choice: abs(choice - near))))
        text = shown(value)
        alike = [difflib.SequenceMatcher(None, text, repr(choice)).ratio() for choice in self.choices]
        raise ValueError(repr(self.choices[alike.index(max(alike))]))


class Tuple(Kind):
    """A tuple or list of values of one kind.

    Args:
        of: the kind of its values, Whole or OneOf.
        least, most: the number of values that it may have.
    """

    def __init__(self, of, least=1, most=100):
        self.of, self.least, self.most = of, least, most
        count = f"{least} " if least == most else ""
        self.must = f"a tuple of {count}" + (f"whole numbers {of.range}" if isinstance(of, Whole) else f"{of.must}")
        self.must += "" if least == most else f", {f'{least} to' if least else 'at most'} {most} of them"

    def convert(self, value):
        if not isinstance(value, (tuple, list)) or not self.least <= len(value) <= self.most:
            raise ValueError
        try:
            return tuple(self.of.convert(v) for v in value)
        except ValueError:
            raise ValueError from None


class Shape(Kind):
    """The shape of an input, without the batch axis.

    Args:
        *forms: the allowed axes, such as "H, W, C" or "T,"; axis T may be None, for any length.
        most: the largest size of an axis.

    >>> Shape("H, W, C", most=8192)
    (H, W, C), whole numbers from 1 to 8,192
    """

    def __init__(self, *forms, most):
        self.forms = [[axis for axis in re.split(", *", form) if axis] for form in forms]
        self.size = Whole(1, most)
        self.must = f"{' or '.join(f'({form})' for form in forms)}, whole numbers {self.size.range}"
        self.must += ", T None for any length" if "T" in self.forms[0] else ""

    def convert(self, value):
        form = isinstance(value, (tuple, list)) and next((f for f in self.forms if len(f) == len(value)), None)
        if not form:
            raise ValueError
        try:
            return tuple(
                None if size is None and axis == "T" else self.size.convert(size)
                for axis, size in zip(form, value, strict=True)
            )
        except ValueError:
            raise ValueError from None


class _Text(Kind):
    """A string or a path, without NUL characters."""

    must = "a string"

    def convert(self, value):
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str) and "\0" not in value:
            return str(value)
        raise ValueError


class _ModelName(Kind):
    """A model name that both Keras and a SavedModel allow."""

    must = "a name of 1 to 100 letters (a to z), digits, '_', '-' and '.', no '_' or '-' in front"

    def convert(self, value):
        if isinstance(value, str) and re.fullmatch("[A-Za-z0-9.][A-Za-z0-9_.-]{0,99}", value):
            return str(value)
        near = re.sub("[^A-Za-z0-9_.-]+", "_", value).strip("_-")[:100] if isinstance(value, str) else ""
        raise ValueError(repr(near) if near else "")


class Function(Kind):
    """Something that can be called with arguments by position.

    Args:
        *parameters: names of the arguments, for the message.
    """

    def __init__(self, *parameters):
        self.parameters, self.must = parameters, f"a function of ({', '.join(parameters)})"

    def convert(self, value):
        if not callable(value):
            raise ValueError
        try:
            signature = inspect.signature(value)
        except (TypeError, ValueError):  # some functions written in C have no signature
            return value
        try:
            signature.bind(*self.parameters)
        except TypeError as error:
            raise ValueError from error
        return value


YesOrNo, Text, ModelName = _YesOrNo(), _Text(), _ModelName()
Share = Number("[0, 1)", near=0.9)
Seed = Whole(0, 2**31 - 1)  # below NumPy's limit of 2**32: trials use seeds above that of the run


def checked(function=None, *, who=None):
    """Decorate a function so that its arguments are checked against their annotations.

    Args:
        function: the function; None: return a decorator.
        who: the function's name in messages; None: its __name__.
    """
    if function is None:
        return functools.partial(checked, who=who)
    signature, who = inspect.signature(function), who or function.__name__
    kinds = {name: p.annotation for name, p in signature.parameters.items() if isinstance(p.annotation, Kind)}

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:  # an argument is unknown, missing or given twice
            raise TypeError(f"{who}: {error}") from None
        for name, value in bound.arguments.items():
            if name in kinds:
                default = signature.parameters[name].default
                bound.arguments[name] = check(f"{who}: {name}", kinds[name], value, example=default)
        return function(*bound.args, **bound.kwargs)

    return call


def check(who, kind, value, example=None):
    """The value as plain Python, checked.

    Args:
        who: the beginning of the message, such as "build_mlp: units" or "--epochs:".
        kind: a Kind.
        value: any object.
        example: an allowed tuple, which the message about a wrong tuple shows.

    Raises:
        ArgumentError: it is not of this kind.
    """
    try:
        return kind.convert(value)
    except ValueError as error:
        near = f" Nearest: {error}." if str(error) else ""
    such_as = f", such as {example}" if isinstance(example, tuple) and example else ""
    raise ArgumentError(f"{who} must be {kind.must}{such_as}; got {shown(value)}.{near}")


def shown(value):
    """A value as text for a message: one line, not too long, even if its repr fails."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # raised by the object's __repr__, for a tuple nested too deeply or a number with too many digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _clamped(value, least, most):
    """`value` clipped to the range from `least` to `most`; `least` if it is no number."""
    if not isinstance(value, numbers.Real) or value != value:
        return least
    return value if least <= value <= most else least if value < least else most
