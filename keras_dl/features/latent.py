"""Codes of an autoencoder: vectors that stand for pictures."""

import dataclasses
from typing import Annotated, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.features.base import Feature
from keras_dl.wording import counted

UNREADABLE = "is no NumPy file (.npy) of numbers"


class LatentConfig(TypedDict):
    size: Annotated[int, Meta(ge=1, lt=2**31)]


@dataclasses.dataclass(frozen=True)
class Latent(Feature):
    """Codes: float32 (B, D). A file holds one code, (D,) or (1, D), as numpy.save writes it.

    Attributes:
        size: D.
    """

    size: int

    kind = "latent"
    suffixes = (".npy",)
    plural = "codes"
    counted = "codes"
    unreadable = UNREADABLE
    written_as = (".npy",)
    CONFIG = LatentConfig

    @property
    def shape(self):
        return (None, self.size)

    def config(self):
        return dataclasses.asdict(self)

    def read(self, source):
        try:
            with open(source.content, "rb") as file:
                # Mapped, not read: a header may promise more numbers than there is memory.
                code = np.load(file.name, mmap_mode="r", allow_pickle=False)
                shape, kind = getattr(code, "shape", ()), getattr(getattr(code, "dtype", None), "kind", "")
        except IsADirectoryError as error:
            raise UserError(f"{source.place} is no file.") from error
        except OSError as error:
            raise UserError(f"{source.place} cannot be read: {error.strerror or UNREADABLE}.") from error
        except (ValueError, EOFError, TypeError, SyntaxError) as error:
            raise UserError(f"{source.place} {UNREADABLE}.") from error
        if shape not in ((self.size,), (1, self.size)) or kind not in "fiu":
            raise UserError(
                f"{source.place} must hold a code of {counted(self.size, 'numbers')}; it has shape {shape}."
            )
        code = np.asarray(code, np.float32).reshape(self.size)
        if not np.isfinite(code).all():
            raise UserError(f"{source.place} must hold finite numbers; it has nan or infinite ones.")
        return code

    def write(self, value, path, like=None):
        with atomic_file(path) as file:
            np.save(file, np.asarray(value, np.float32))

    def example(self):
        """Two codes: the prior's middle, and one a standard deviation from it in every unit."""
        return np.repeat(np.array([[0], [1]], np.float32), self.size, 1)

    def in_rest(self):
        return [0.0] * self.size

    def on_command_line(self):
        return "CODE.npy"
