"""Numbers: one per request, such as a temperature, or one per row of an answer, such as a log-likelihood."""

import dataclasses
import math
import re
import reprlib
from typing import NotRequired, TypedDict

from keras_dl.errors import UserError
from keras_dl.features.base import Feature

LARGEST = {"float16": 65504.0, "bfloat16": 3.3e38, "float32": 3.4028234e38, "float64": 1.7976931348623157e308}


class NumberConfig(TypedDict):
    dtype: NotRequired[str]
    default: NotRequired[bool | int | float | str | None]


@dataclasses.dataclass(frozen=True)
class Number(Feature):
    """A single number, boolean or string for a whole request.

    Attributes:
        dtype: name of a TensorFlow dtype.
        default: the value if `predict` is not given one; None if it must be given.
    """

    dtype: str = "float32"
    default: object = None

    kind = "number"
    shape = ()
    CONFIG = NumberConfig

    def config(self):
        return {"dtype": self.dtype, **({} if self.default is None else {"default": self.default})}

    def check_value(self, name, value):
        """Raise UserError unless the dtype can represent `value`, from `--set name=value`."""
        whole = re.fullmatch(r"(u?)int(\d+)", self.dtype)
        python_type = {"string": str, "bool": bool}.get(self.dtype, int if whole else (int, float))
        if not isinstance(value, python_type) or (isinstance(value, bool) and self.dtype != "bool"):
            raise UserError(f"--set: {name} must be {self.dtype}; got {reprlib.repr(value)}.")
        if whole:
            bits = int(whole[2])
            least, most = (0, 2**bits - 1) if whole[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        else:
            most = LARGEST.get(self.dtype, math.inf)
            least = -most
        if not isinstance(value, str) and not least <= value <= most:  # also refuses nan
            raise UserError(f"--set: {name} must be {self.dtype}, from {least} to {most}; got {reprlib.repr(value)}.")


class Count(Feature):
    """A count for each row: int32 (B,)."""

    kind = "count"
    dtype = "int32"


class Nats(Feature):
    """A log-probability or its negative for each row, in nats: float32 (B,)."""

    kind = "nats"


class Logits(Feature):
    """Logits, for whoever calls a file of another format: float32, of any shape."""

    kind = "logits"

    def from_numpy(self, name):
        return []


class Score(Feature):
    """The score by which hypotheses are ranked: float32 (B,) or (B, R)."""

    kind = "score"
