"""What the units of a code carry, and pictures of a space of codes: reconstructions, a manifold, ways between codes.

Shapes: N pictures (h, w, C) uint8, D units of a code. `decode` is a function of codes float32 (N, D) -> N pictures.
"""

import statistics

import keras
import numpy as np
import tensorflow as tf

from keras_dl.summaries.events import purge, writing

TAGS = "latent/"  # prefix of the tags
ACTIVE = 0.01  # least variance over pictures of an active unit's posterior mean (Burda et al., arXiv:1509.00519)
CHARTED = 64  # units of which each has a chart; of more there is the histogram
EDGE = 0.02  # share of the prior's mass beyond each edge of a manifold


class Units(keras.callbacks.Callback):
    """After every epoch, writes each unit's KL divergence and the number of active units for TensorBoard.

    A unit whose posterior is the prior for every picture, a divergence of 0, carries nothing: it is not active. Tags:
    latent/active_units, latent/kl (a histogram of the D units) and latent/kl_of_units/00, 01, ...

    Args:
        run: the runs.Run; events go to run.tensorboard / "validation".
        batches: data.Batches of validation.
    """

    def __init__(self, run, batches):
        super().__init__()
        self.folder, self.batches, self.begun, self.traced = run.tensorboard / "validation", batches, False, None

    def on_epoch_end(self, epoch, logs=None):
        if not self.begun:  # also of a run that was killed before its first checkpoint
            self.purge(epoch)
            self.begun = True
        self.traced = self.traced or tf.function(posteriors_of(self.model), autograph=False, reduce_retracing=True)
        found = units(self.traced, self.batches)
        digits = len(str(len(found["kl"]) - 1))
        with writing(self.folder, epoch + 1):
            tf.summary.scalar(f"{TAGS}active_units", int(found["active"].sum()))
            tf.summary.histogram(f"{TAGS}kl", found["kl"])
            for number, value in enumerate(found["kl"][:CHARTED]):
                tf.summary.scalar(f"{TAGS}kl_of_units/{number:0{digits}}", value)

    def get_state(self):
        return {}

    def set_state(self, state):
        pass

    def purge(self, epochs_done):
        """Delete what was written after `epochs_done` epochs."""
        purge(self.folder, epochs_done, TAGS)


def posteriors_of(model):
    """The function of pictures' levels (B, H, W, C) -> (means, KL divergences), each (B, D).

    Args:
        model: has `encode` and `divergence`, as models.VAE.
    """

    def posteriors(images):
        posterior = model.encode(images)
        return posterior.mean(), model.divergence(posterior)

    return posteriors


def units(posteriors, batches):
    """What the units of the code carry of some pictures.

    Args:
        posteriors: what posteriors_of returns, traced or not.
        batches: data.Batches whose x, or only tensor, is levels.

    Returns:
        {"mean": (N, D), the posteriors' means; "kl": (D,) nats, the mean divergence of each unit from the prior, whose
        sum is the KL divergence of a picture; "active": (D,) booleans}.
    """
    pairs = [posteriors(batch[0] if isinstance(batch, tuple) else batch) for batch in batches.dataset()]
    means, divergences = (np.concatenate(part).astype(np.float64) for part in zip(*pairs, strict=True))
    return {"mean": means, "kl": divergences.mean(0), "active": means.var(0) > ACTIVE}


def manifold(decode, size, units=(0, 1), side=15):
    """Pictures of a grid of codes, row by row: one unit changes with the column, one with the row, all others are 0.

    The grid's lines divide the prior's mass evenly (Kingma and Welling, arXiv:1312.6114, figure 4).

    Args:
        size: D.
        units: the unit of the columns and that of the rows; of a code with one unit only (0,).
        side: number of columns and of rows.
    """
    places = [statistics.NormalDist().inv_cdf(share) for share in np.linspace(EDGE, 1 - EDGE, side)]
    across, down = np.meshgrid(places, places if len(units) > 1 else [0.0])
    codes = np.zeros((across.size, size), np.float32)
    for unit, values in zip(units, (across, down), strict=False):
        codes[:, unit] = values.ravel()
    return decode(codes)


def between(decode, starts, ends, steps=10):
    """Pictures on the straight ways from codes to codes, a row of `steps` for each: starts, ends (N, D)."""
    shares = np.linspace(0, 1, steps)[None, :, None]
    codes = (1 - shares) * np.asarray(starts)[:, None] + shares * np.asarray(ends)[:, None]
    return decode(codes.reshape(-1, codes.shape[-1]).astype(np.float32))


def beside(originals, pictures, columns):
    """Pictures in rows of `columns`, each row of originals above the row of what a model made of them."""
    rows = []
    for start in range(0, len(originals), columns):
        rows += [originals[start : start + columns], pictures[start : start + columns]]
    return np.concatenate(rows)
