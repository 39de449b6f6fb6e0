"""The error that ends a training with NaN or infinite numbers."""

import math

from keras_dl import errors
from keras_dl.training.variables import learning_rates


class Diverged(errors.UserError):
    """A loss, a weight or a number that a step reports is NaN or infinite."""


def divergence(at, name, done, size, epoch, model, run):
    """The message of Diverged.

    Args:
        at: index of the step within the block; None if only a weight is not finite.
        name: of the reported number, or path of the weight.
        done: number of steps of the epoch before the block.
        size: number of steps of the block.
        epoch: number of the epoch, from 0.
        model: the compiled model.
        run: the runs.Run.
    """
    rates = learning_rates(model)
    said = ", ".join(f"{key.replace('_', ' ', 1)} {rate:.3g}" for key, rate in rates.items()) or "no optimizer"
    rate = next(iter(rates.values()), 0.0)
    advice = f"--learning-rate {rate / 10:.1g}" if math.isfinite(rate) and rate else "a finite --learning-rate"
    kept = " The last checkpoint is whole." if any(run.checkpoints.glob("*.npz")) else ""
    if at is None:
        what = f"the weight {name} must stay finite; got nan or inf"
        where = f"step {done + size}" if size == 1 else f"one of the steps {done + 1} to {done + size}"
    else:
        what = f"{'the loss' if name == 'loss' else name} must stay finite; got nan or inf"
        where = f"step {done + at + 1}"
    return (
        f"training.fit: {what} at {where} of epoch {epoch + 1} with {said}. Try {advice}, less weight decay, a batch "
        f"norm, or --precision float32.{kept}"
    )
