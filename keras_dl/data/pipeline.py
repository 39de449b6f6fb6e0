"""Batches in a reproducible order: an epoch is a plan of index arrays; batch k of epoch e depends on (seed, e, k)."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from keras_dl.arguments import Function, Seed, Whole, YesOrNo, checked, shown
from keras_dl.data import plans
from keras_dl.data.examples import Examples, Ragged
from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import counted

Count = Whole(1, 1_000_000_000)
PARALLEL = 2  # an explicit number: tf.data's autotuner stalls whenever an iterator is deleted
AHEAD = 2  # batches to prefetch


@checked(who="data.batches")
def batches(
    examples,
    batch_size: Count,
    *,
    collate: Function("raw"),
    seed: Seed = 0,
    shuffle: YesOrNo = False,
    augment: Function("raw", "draws") | None = None,
    class_weight=None,
    plan: Function("seed", "epoch") | None = None,
):
    """Make a pipeline over `examples`.

    Args:
        examples: one of the Splits.
        batch_size: examples per batch; the last batch of an epoch may be smaller.
        collate: function of a raw batch with all features of the examples, {feature: tensor (B, ...) or
            tf.RaggedTensor}, -> (x, y) or (x, y, weight): for images, images.with_labels(preprocess); for text, music
            and pairs, preprocess.batch.
        seed: seed of order and augmentation.
        shuffle: whether each epoch has another random order; else examples come as stored.
        augment: None, or an object that changes raw batches before they are collated, all features of an example
            together. It has draw(seed, epoch, count) -> (count, ...), what happens to each example in that epoch, and
            is called augment(raw, draws) -> raw with the draws of the batch's examples. images.augmentation makes one.
        class_weight: (K,) weight of an example by its "label", or None.
        plan: plan(seed, epoch) -> list of index arrays; replaces shuffle and batch_size.

    Returns:
        Batches.

    Raises:
        UserError: an argument does not fit its annotation, there are no examples, or they are windows of a text, each
            continued in the next batch (Examples.rows), and shuffle, plan or batch_size would change their order.
    """
    if not isinstance(examples, Examples):
        raise UserError(f"data.batches: examples must be Examples, such as one of the Splits; got {shown(examples)}.")
    if augment is not None and not hasattr(augment, "draw"):
        raise UserError(
            f"data.batches: augment must have draw(seed, epoch, count), as what images.augmentation makes; got "
            f"{shown(augment)}."
        )
    if not len(examples):
        raise UserError("data.batches: there must be at least one example; got none.")
    if examples.rows and (shuffle or plan or batch_size != examples.rows):
        given = "shuffle=True" if shuffle else "a plan" if plan else f"batch_size={batch_size}"
        raise UserError(
            f"data.batches: windows of {counted(examples.rows, 'rows')} of a text go on from batch to batch: they must "
            f"be taken in order, {examples.rows} at once; got {given}."
        )
    plan = plan or (plans.shuffled if shuffle else plans.in_order)(len(examples), batch_size)
    weights = None if class_weight is None else _weights(class_weight, examples)
    return Batches(examples, plan, seed, collate, augment, weights)


def _weights(class_weight, examples):
    """Class weights as float32 (K,), checked: numbers of at least 0, one for each label of the examples."""
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            weights, labels = np.asarray(class_weight, np.float32), examples.features["label"]
        if weights.ndim == 1 and len(weights) > np.max(labels) and (weights >= 0).all() and np.isfinite(weights).all():
            return weights
    raise UserError(
        "data.batches: class_weight must be numbers of at least 0, one for each label of the examples, or None; "
        f"got {shown(class_weight)}."
    )


@dataclasses.dataclass(frozen=True)
class Batches:
    """A pipeline of (x, y[, weight]) batches; each epoch follows its plan."""

    examples: Examples
    plan: Callable
    seed: int
    collate: Callable
    augment: object = None
    class_weight: np.ndarray | None = None

    def steps(self, epoch=0):
        return len(self.plan(self.seed, epoch))

    def dataset(self, epoch=0, step=0, epochs=1):
        """A tf.data.Dataset of `epochs` epochs (None: endless) that starts with batch `step` of `epoch`.

        An endless one has no pause between epochs: the pipeline prepares the next while the current one ends.
        """
        with quiet_tensorflow():
            import tensorflow as tf

        last = np.iinfo(np.int64).max if epochs is None else epoch + epochs
        # No autograph: it would read the source of these functions again, which may have been edited since the start.
        plain = tf.autograph.experimental.do_not_convert
        one_draw = self._draw(epoch, 1)  # for the dtype and shape of the draws

        def one_epoch(number):
            order, ends, draws = tf.numpy_function(self._epoch, [number], [tf.int64, tf.int64, one_draw.dtype])
            order.set_shape([None])
            ends.set_shape([None])
            draws.set_shape([None, *one_draw.shape[1:]])
            first = tf.where(number == epoch, tf.cast(step, tf.int64), tf.constant(0, tf.int64))
            steps = tf.data.Dataset.range(first, tf.size(ends, tf.int64) - 1)
            return steps.map(plain(lambda i: (order[ends[i] : ends[i + 1]], draws[ends[i] : ends[i + 1]])))

        pipeline = tf.data.Dataset.range(epoch, last).flat_map(plain(one_epoch))
        pipeline = pipeline.map(plain(self._batch()), num_parallel_calls=PARALLEL, deterministic=True)
        if epochs is not None:
            count = sum(self.steps(e) for e in range(epoch, last)) - step
            pipeline = pipeline.apply(tf.data.experimental.assert_cardinality(count))
        options = tf.data.Options()
        options.autotune.enabled = False
        return pipeline.prefetch(AHEAD).with_options(options)

    def _epoch(self, number):
        """One epoch: (ordered indices of the examples, boundaries of the batches, draws of the augmentation)."""
        plan = self.plan(self.seed, int(number))
        order = np.concatenate(plan).astype(np.int64)
        ends = np.cumsum([0, *map(len, plan)], dtype=np.int64)
        return order, ends, self._draw(int(number), len(self.examples))[order]

    def _draw(self, epoch, count):
        """The draws of the augmentation for each example in one epoch; without augmentation empty, (N, 0)."""
        if self.augment is None:
            return np.zeros((count, 0), np.int32)
        return np.asarray(self.augment.draw(self.seed, epoch, count))

    def _batch(self):
        import tensorflow as tf

        gather = {name: _gatherer(array) for name, array in self.examples.features.items()}
        weights = None if self.class_weight is None else tf.constant(self.class_weight)

        def batch(indices, draws):
            raw = {name: rows(indices) for name, rows in gather.items()}
            if self.augment is not None:
                raw = self.augment(raw, draws)
            collated = self.collate(raw)
            if weights is None:
                return collated
            if len(collated) != 2:
                raise UserError("data.batches: class_weight needs a collate that gives (x, y), without a weight.")
            return *collated, tf.gather(weights, raw["label"])

        return batch


def _gatherer(array):
    """The function from indices to rows of `array`; the array is not copied, and a memmap stays on disk."""
    import tensorflow as tf

    if isinstance(array, Ragged):
        with tf.device("CPU"):
            return functools.partial(tf.gather, tf.RaggedTensor.from_row_splits(array.values, array.splits))

    if isinstance(array, np.memmap):

        def from_disk(indices):
            rows = tf.numpy_function(lambda i: array[i], [indices], array.dtype, stateful=False)
            return tf.ensure_shape(rows, [None, *array.shape[1:]])

        return from_disk
    with tf.device("CPU"):
        return functools.partial(tf.gather, tf.constant(array))
