"""Loads an export, if it is complete and trusted, and calls its endpoints by name."""

import re

import numpy as np

from keras_dl import cards, paths, verification
from keras_dl.arguments import Text, YesOrNo, checked
from keras_dl.errors import Refused, UserError
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf


class Export:
    """A loaded export: its folder, its card, and `call`."""

    def __init__(self, path, card):
        self.path, self.card = path, card
        with paths.literal(path) as plain:
            self._loaded = tf.saved_model.load(str(plain))  # its functions work only as long as it exists

    def call(self, endpoint="serving_default", **inputs):
        """Call an endpoint.

        Args:
            endpoint: its name.
            **inputs: arrays by the names in the card.

        Returns:
            {output name: NumPy array}.

        Raises:
            UserError: there is no such endpoint, the inputs have other names (the right ones are listed), or their
                dtypes cannot represent a value, such as 2**32 for int32 or a fraction for uint8.
            Refused: the endpoint refuses the request: bytes that are no picture, a value out of range, too large.
        """
        specs = _named(self.card["endpoints"], endpoint, f"{self.path}: no endpoint")["inputs"]
        if set(inputs) != set(specs):
            raise UserError(
                f"{self.path}: endpoint {endpoint} takes {', '.join(specs)}; got {', '.join(inputs) or 'nothing'}."
            )
        tensors = {name: self._tensor(name, value, specs[name]) for name, value in inputs.items()}
        try:
            answer = self._loaded.signatures[endpoint](**tensors)
        except tf.errors.InvalidArgumentError as error:
            own = re.search(r"assertion failed: \[([^\]]+)\]", error.message)
            sentence = own[1] if own else None
            said = sentence or " ".join(error.message.split())
            raise Refused(f"{self.path}: endpoint {endpoint} refuses the request: {said}.", sentence) from error
        return {name: answer[name].numpy() for name in self.card["endpoints"][endpoint]["outputs"]}

    def check_signatures(self):
        """Raise UserError unless the SavedModel has the endpoints, inputs and outputs that the card lists."""
        for name, endpoint in self.card["endpoints"].items():
            if name not in self._loaded.signatures:
                raise UserError(
                    f"{self.path / cards.CARD} is damaged: endpoints: the SavedModel has no {name!r}; it has "
                    f"{', '.join(self._loaded.signatures)}."
                )
            function = self._loaded.signatures[name]
            there = {"inputs": function.structured_input_signature[1], "outputs": function.structured_outputs}
            for way, specs in there.items():
                dtypes = {field: spec.dtype.name for field, spec in specs.items()}
                if {field: spec["dtype"] for field, spec in endpoint[way].items()} != dtypes:
                    raise UserError(
                        f"{self.path / cards.CARD} is damaged: endpoints.{name}.{way} must be as in the SavedModel: "
                        f"{', '.join(f'{field} ({dtype})' for field, dtype in dtypes.items()) or 'nothing'}."
                    )

    def _tensor(self, name, value, spec):
        try:
            tensor = tf.constant(exactly(value, tf.as_dtype(spec["dtype"])), spec["dtype"])
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{self.path}: {name} must be {spec['dtype']}: {str(error).partition(chr(10))[0]}"
            ) from error
        if not tf.TensorShape(spec["shape"]).is_compatible_with(tensor.shape):
            raise UserError(
                f"{self.path}: {name} must have the shape {tuple(spec['shape'])}, None being any; "
                f"got {tuple(tensor.shape)}."
            )
        return tensor


@checked(who="export.load")
def load(path: Text, *, trust: YesOrNo = False):
    """Load an export.

    Args:
        path: the folder of a version, or of a name, whose newest version is loaded.
        trust: load it even if this user's export.save did not write it. A SavedModel is a program and may do anything.

    Returns:
        Export.

    Raises:
        UserError: there is no such folder, it is no export, its files were changed, or another user or program wrote it
            and `trust` is False.
    """
    folder, card = cards.find(path)
    verification.check(folder, card, trusted=trust)
    exported = Export(folder, card)
    exported.check_signatures()
    return exported


def exactly(value, dtype):
    """`value`; ValueError if NumPy would silently change numbers when it converts them to the dtype."""
    if not (dtype.is_integer or dtype.is_floating) or isinstance(value, tf.Tensor):
        return value
    given = np.asarray(value)
    if given.dtype == dtype.as_numpy_dtype or not given.size:
        return value
    if given.dtype.kind == "c":
        raise ValueError(f"real numbers; got {given.dtype}")
    if given.dtype.kind == "f":
        if dtype.is_integer:
            raise ValueError(f"whole numbers; got {given.dtype}")
        given = given[np.isfinite(given)]  # the endpoint itself checks numbers that are not finite
    if given.dtype.kind in "iuf" and given.size and not dtype.min <= given.min() <= given.max() <= dtype.max:
        raise ValueError(f"from {dtype.min} to {dtype.max}; got {given.min()} to {given.max()}")
    return value


def _named(known, name, complaint):
    if not isinstance(name, str) or name not in known:
        raise UserError(f"{complaint} {name!r}. There are: {', '.join(known)}.")
    return known[name]
