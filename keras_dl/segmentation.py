"""What a segmentation is trained with and judged by: a loss with an ignored label, and measures of all pixels together.

Sources: the mean intersection over union of PASCAL VOC (Everingham et al. 2010, section 4.3); Cheng et al., "Boundary
IoU: Improving Object-Centric Image Segmentation Evaluation" (arXiv:2103.16562), section 4; Dice 1945.
Every measure is computed from counts of all examples, not from means over batches or images. Pixels with the ignored
label are in no count, whatever is predicted there.
Shapes: B examples, K classes; labels are (B, H, W) or (B, D, H, W), logits (B, H, W, K) or (B, D, H, W, K).
"""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_dl.arguments import Number, Text, Tuple, Whole, check, checked

IGNORE = Whole(-1, 65_535) | None
DILATION_RATIO = 0.02  # Cheng et al., section 4.2


@keras.saving.register_keras_serializable("keras_dl")
class SegmentationLoss(keras.losses.Loss):
    """Cross-entropy of the classes of pixels: sum(w_c * nll) / sum(w_c) over the pixels that count, 0 if none does.

    Args:
        ignore_label: a label that does not count: its logits have no influence and no gradient, even if they are NaN.
            None: all labels count.
        class_weights: K weights w_c, of the pixels whose label is c; None: all are 1.

    It is the loss of torch.nn.CrossEntropyLoss(weight, ignore_index). In calls, sample_weight has the shape of the
    labels and multiplies the weights. With several replicas it is the mean over the replicas.

    Raises:
        ArgumentError: an argument does not fit its annotation.
        ValueError: in a call, labels, logits, weights of classes or of pixels do not fit.

    >>> loss = SegmentationLoss(ignore_label=11)
    >>> round(float(loss([[[2, 11]]], [[[[0.0] * 4, [9.0, 0.0, 0.0, 0.0]]]])), 4)  # log 4
    1.3863
    """

    @checked(who="SegmentationLoss")
    def __init__(
        self,
        ignore_label: IGNORE = None,
        class_weights: Tuple(Number("[0, 1000000]"), most=65_536) | None = None,
        name: Text = "segmentation_loss",
    ):
        super().__init__(name=name, reduction="sum")  # not used: __call__ reduces
        self.ignore_label, self.class_weights = ignore_label, class_weights

    def __call__(self, y_true, y_pred, sample_weight=None):
        labels, logits = tf.cast(y_true, tf.int32), tf.convert_to_tensor(y_pred)
        _check("SegmentationLoss", labels, logits)
        classes = logits.shape[-1]
        counts = counted(labels, self.ignore_label)
        labels = tf.where(counts, labels, 0)
        weight = tf.cast(counts, tf.float32)
        if self.class_weights is not None:
            if len(self.class_weights) != classes:
                raise ValueError(
                    f"SegmentationLoss: class_weights must be one number a class, as many as the logits; got "
                    f"{len(self.class_weights)} for {classes}."
                )
            weight *= tf.gather(tf.constant(self.class_weights, tf.float32), labels)
        if sample_weight is not None:
            sample_weight = tf.cast(sample_weight, tf.float32)
            if not sample_weight.shape.is_compatible_with(labels.shape):
                raise ValueError(
                    f"SegmentationLoss: sample_weight must be one number a pixel, {labels.shape}; got "
                    f"{sample_weight.shape}."
                )
            weight *= sample_weight
        # Before the loss, so that NaN of an ignored pixel has no gradient: 0 * NaN is NaN.
        logits = tf.where(counts[..., None], tf.cast(logits, tf.float32), 0.0)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync  # Keras sums the gradients of the replicas
        return tf.math.divide_no_nan(tf.reduce_sum(nll * weight), tf.reduce_sum(weight) * replicas)

    def get_config(self):
        return {"ignore_label": self.ignore_label, "class_weights": self.class_weights, "name": self.name}


def counted(labels, ignore_label):
    """Which labels count: a tensor of booleans of their shape."""
    labels = tf.convert_to_tensor(labels)
    if ignore_label is None:
        return tf.ones_like(labels, tf.bool)
    return tf.not_equal(tf.cast(labels, tf.int32), ignore_label)


def balanced_weights(counts):
    """Weights of classes by median frequency balancing: the median share of the classes over a class's own.

    Args:
        counts: (K,) pixels of each class. A class without pixels has weight 0.

    Source: Eigen and Fergus (arXiv:1411.4734), section 6.3.2, as SegNet uses it; the shares are of all pixels.

    >>> balanced_weights([100, 50, 25, 0]).tolist()
    [0.5, 1.0, 2.0, 0.0]
    """
    counts = np.asarray(counts, float)
    there = counts > 0
    weights = np.zeros_like(counts)
    weights[there] = np.median(counts[there]) / counts[there]
    return weights


class _OfPixels(keras.metrics.Metric):
    """Counts of the pixels of all batches, int64."""

    NAME = None

    def __init__(self, num_classes, ignore_label=None, name=None, dtype=None):
        super().__init__(name=name or self.NAME, dtype=dtype)
        who = type(self).__name__
        self.num_classes = check(f"{who}: num_classes", Whole(2, 65_536), num_classes)
        self.ignore_label = check(f"{who}: ignore_label", IGNORE, ignore_label)

    def of_batch(self, y_true, y_pred):
        """Labels, whether they count, and the most probable classes, all (B, ...); labels that do not count are 0."""
        labels, logits = tf.cast(y_true, tf.int32), tf.convert_to_tensor(y_pred)
        _check(type(self).__name__, labels, logits)
        counts = counted(labels, self.ignore_label)
        return tf.where(counts, labels, 0), counts, tf.argmax(logits, -1, tf.int32)

    def get_config(self):
        return {"num_classes": self.num_classes, "ignore_label": self.ignore_label, **super().get_config()}


class _OfConfusion(_OfPixels):
    """A measure of the confusion matrix of all pixels.

    Args:
        num_classes: K.
        ignore_label: a label that does not count; None: all do.
        name: in the logs; None: NAME.
    """

    def __init__(self, num_classes, ignore_label=None, name=None, dtype=None):
        super().__init__(num_classes, ignore_label, name, dtype)
        shape = (self.num_classes, self.num_classes)
        self.confusion = self.add_variable(shape, "zeros", dtype="int64", name="confusion")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """sample_weight is not used: every pixel counts once."""
        labels, counts, predicted = self.of_batch(y_true, y_pred)
        pairs = tf.boolean_mask(labels * self.num_classes + predicted, counts)
        matrix = tf.math.bincount(pairs, minlength=self.num_classes**2, maxlength=self.num_classes**2, dtype=tf.int64)
        self.confusion.assign_add(tf.reshape(matrix, (self.num_classes, self.num_classes)))

    def result(self):
        matrix = tf.cast(tf.convert_to_tensor(self.confusion), tf.float64)
        both = tf.linalg.diag_part(matrix)
        return tf.cast(self.of_counts(both, tf.reduce_sum(matrix, 1), tf.reduce_sum(matrix, 0)), self.dtype)

    def of_counts(self, both, labelled, predicted):
        """The measure, from pixels of each class: right, in the labels, in the predictions; (K,) float64 each."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("keras_dl")
class MeanIoU(_OfConfusion):
    """Mean over the classes of |label and prediction| / |label or prediction|, from all pixels together.

    A class that is in no label and in no prediction is left out of the mean, as in scikit-learn's
    jaccard_score(average="macro"). Keras' own metric counts in float32, which stops at 2^24 pixels.

    >>> iou = MeanIoU(2)
    >>> iou.update_state([[[0, 0, 1, 1]]], [[[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]])
    >>> round(float(iou.result()), 4)  # (1 / 2 + 2 / 3) / 2
    0.5833
    """

    NAME = "mean_iou"

    def of_counts(self, both, labelled, predicted):
        union = labelled + predicted - both
        there = tf.cast(union > 0, union.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(both, union)), tf.reduce_sum(there))


@keras.saving.register_keras_serializable("keras_dl")
class PixelAccuracy(_OfConfusion):
    """Share of the pixels whose most probable class is their label.

    >>> accuracy = PixelAccuracy(2)
    >>> accuracy.update_state([[[0, 1]]], [[[[1.0, 0.0], [1.0, 0.0]]]])
    >>> float(accuracy.result())
    0.5
    """

    NAME = "accuracy"

    def of_counts(self, both, labelled, predicted):
        return tf.math.divide_no_nan(tf.reduce_sum(both), tf.reduce_sum(labelled))


@keras.saving.register_keras_serializable("keras_dl")
class Dice(_OfConfusion):
    """Dice of one class, 2 |label and prediction| / (|label| + |prediction|), from all pixels together; 0 of nothing.

    Args:
        num_classes: K.
        of_class: the class.
        ignore_label, name: as of MeanIoU; None: "dice_" and the class.

    >>> dice = Dice(2, 1)
    >>> dice.update_state([[[0, 0, 1, 1]]], [[[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]])
    >>> round(float(dice.result()), 4)  # 2 * 2 / (2 + 3)
    0.8
    """

    def __init__(self, num_classes, of_class, ignore_label=None, name=None, dtype=None):
        super().__init__(num_classes, ignore_label, name or f"dice_{of_class}", dtype)
        self.of_class = check("Dice: of_class", Whole(0, num_classes - 1), of_class)

    def of_counts(self, both, labelled, predicted):
        return tf.math.divide_no_nan(2 * both, labelled + predicted)[self.of_class]

    def get_config(self):
        return {"of_class": self.of_class, **super().get_config()}


@keras.saving.register_keras_serializable("keras_dl")
class BoundaryIoU(_OfPixels):
    """Mean over the classes of the intersection over union of boundary regions, from all pixels together.

    The boundary region of a mask is what an erosion by d pixels takes from it, with a square of 3 x 3 d times; beyond
    the border nothing belongs to the mask, as in the authors' code. Classes are left out as in MeanIoU. Ignored pixels
    belong to no mask before the erosion, of labels and of predictions.

    Args:
        num_classes: K.
        dilation_ratio: d as a share of the diagonal in pixels, rounded, at least 1.
        ignore_label, name: as of MeanIoU.

    Source: arXiv:2103.16562, equation (2), for instances; here for classes, counted over the data set.

    >>> iou = BoundaryIoU(2)
    >>> iou.update_state(tf.eye(4, dtype=tf.int32)[None], tf.one_hot(tf.eye(4, dtype=tf.int32), 2)[None])
    >>> float(iou.result())
    1.0
    """

    NAME = "boundary_iou"

    def __init__(self, num_classes, dilation_ratio=DILATION_RATIO, ignore_label=None, name=None, dtype=None):
        super().__init__(num_classes, ignore_label, name, dtype)
        self.dilation_ratio = check(
            "BoundaryIoU: dilation_ratio", Number("(0, 1]", near=DILATION_RATIO), dilation_ratio
        )
        self.both = self.add_variable((self.num_classes,), "zeros", dtype="int64", name="both")
        self.either = self.add_variable((self.num_classes,), "zeros", dtype="int64", name="either")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """sample_weight is not used: every pixel counts once."""
        labels, counts, predicted = self.of_batch(y_true, y_pred)
        width = boundary_width(labels.shape[1:], self.dilation_ratio)
        # Another class than all others: its one-hot vector is 0 everywhere.
        nothing = tf.fill(tf.shape(labels), self.num_classes)
        label, prediction = (
            boundary(tf.one_hot(tf.where(counts, classes, nothing), self.num_classes), width) > 0
            for classes in (labels, predicted)
        )
        axes = list(range(len(label.shape) - 1))
        self.both.assign_add(tf.reduce_sum(tf.cast(label & prediction, tf.int64), axes))
        self.either.assign_add(tf.reduce_sum(tf.cast(label | prediction, tf.int64), axes))

    def result(self):
        both, either = (tf.cast(tf.convert_to_tensor(x), tf.float64) for x in (self.both, self.either))
        there = tf.cast(either > 0, either.dtype)
        mean = tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(both, either)), tf.reduce_sum(there))
        return tf.cast(mean, self.dtype)

    def get_config(self):
        return {"dilation_ratio": self.dilation_ratio, **super().get_config()}


def boundary_width(size, dilation_ratio=DILATION_RATIO):
    """d of Boundary IoU in pixels.

    >>> boundary_width((180, 240))  # of a diagonal of 300
    6
    """
    return max(1, round(dilation_ratio * math.hypot(*size)))


def boundary(masks, width):
    """What an erosion by `width` pixels takes from masks (B, H, W, K) or (B, D, H, W, K) of 0 and 1."""
    outside = 1.0 - masks
    for axis in range(1, len(masks.shape) - 1):  # a square is a line along each axis
        window = [1] * len(masks.shape)
        window[axis] = 2 * width + 1
        padding = [[0, 0]] * len(masks.shape)
        padding[axis] = [width, width]
        outside = tf.nn.max_pool(tf.pad(outside, padding, constant_values=1.0), window, 1, "VALID")
    return masks * outside


def _check(who, labels, logits):
    if not labels.shape.is_compatible_with(logits.shape[:-1]):
        raise ValueError(
            f"{who}: labels must have the logits' shape without classes; got {labels.shape}, {logits.shape}."
        )
