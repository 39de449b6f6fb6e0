"""The loss of a network on fixed examples as a function of its trainable weights, and products with its Hessian.

    surface = Surface(model, data.batches(examples, 500, collate=collate))
    surface.values(surface.weights)                  {"loss": 0.31, "error": 0.08}, as training.evaluate has them
    surface.hessian_product(vector)                  H v, by a gradient of a gradient

Nothing is assigned to the model: the weights are handed to it for one call (keras.StatelessScope), so that it stays
equal to the bit whatever happens meanwhile, and random numbers of the model are the same in every call.

Batch normalisation, in evaluation, uses the running averages of training, which belong to the trained weights and do
not move with the direction, as in Li et al. (arXiv:1712.09913, section 4). With batch_norm="batch" its statistics are
those of the fixed examples at each point: the network as it would be after its averages had followed.
Shapes: P weights in all.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_dl import parts
from keras_dl.errors import UserError
from keras_dl.laboratory import directions
from keras_dl.weight_names import owners
from keras_dl.wording import counted

STATISTICS = {"moving": "the averages of training", "batch": "the statistics of the examples"}
PRECISION = 1e-5  # of a product with the Hessian in float32, as a share of the largest eigenvalue
DIFFERENCE = 1e-3  # of the weights' norm, for a product with the Hessian by differences of gradients


class Surface:
    """The loss, and where there are classes the share of wrong ones, of a model at any weights.

    Attributes:
        weights: the model's trainable weights when this object was made, a list of arrays.
        axes: directions.filter_axes of each.
        size: P.
        examples: number of examples.
        statistics: with which batch normalisation normalises, in words; "" if the model has none.
        by_differences: whether `hessian_product` uses differences of gradients: the model has operations whose
            gradient has no gradient.
    """

    def __init__(self, model, batches, *, batch_norm="moving"):
        """Read the fixed examples.

        Args:
            model: compiled; of a parts.ModelWithParts with a single part the loss of that part.
            batches: data.Batches, one epoch without augmentation. The loss is the mean over the examples.
            batch_norm: "moving" or "batch".

        Raises:
            UserError: the loss is not known, or "batch" does not fit the model: it has no batch normalisation, draws
                random numbers in training, or the examples come in several batches.
        """
        self.model, self.training = model, batch_norm == "batch"
        self._batches = [keras.tree.map_structure(tf.convert_to_tensor, batch) for batch in batches.dataset()]
        self._rows = [int(tf.shape(tf.nest.flatten(batch)[0])[0]) for batch in self._batches]
        self.examples = sum(self._rows)
        self._variables = list(model.trainable_variables)
        self.weights = [np.array(keras.ops.convert_to_numpy(variable)) for variable in self._variables]
        layer_of = owners(model)
        self.axes = [
            directions.filter_axes(type(layer_of.get(id(variable))).__name__, tuple(variable.shape))
            for variable in self._variables
        ]
        self.size = sum(weight.size for weight in self.weights)
        self.by_differences = False
        layers = model._flatten_layers(include_self=False)
        normalises = any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
        self.statistics = STATISTICS[batch_norm] if normalises else ""
        self._check()
        self._values = tf.function(self._numbers, autograph=False)
        self._gradients = tf.function(self._gradient, autograph=False)
        self._products = tf.function(self._product, autograph=False)

    def values(self, weights):
        """{"loss": float, and of a classifier "error": share of wrong classes} at a list of arrays."""
        tensors = list(map(tf.convert_to_tensor, weights))
        return {name: float(value) for name, value in self._mean(lambda batch: self._values(tensors, batch)).items()}

    def gradient(self, weights=None):
        """The gradient (P,) of the loss at `weights`, by default at the model's own."""
        tensors = list(map(tf.convert_to_tensor, self.weights if weights is None else weights))
        return self.flat(self._mean(lambda batch: self._gradients(tensors, batch)))

    def hessian_product(self, vector):
        """The Hessian of the loss at the model's weights, times a vector (P,): (P,) float64."""
        if not self.by_differences:
            tensors = list(map(tf.convert_to_tensor, self.weights))
            along = list(map(tf.convert_to_tensor, self.unflat(vector)))
            try:
                return self.flat(self._mean(lambda batch: self._products(tensors, along, batch)))
            except (LookupError, NotImplementedError, tf.errors.UnimplementedError):
                self.by_differences = True
        vector = np.asarray(vector, np.float64)
        center = self.flat(self.weights)
        step = DIFFERENCE * max(np.linalg.norm(center), 1.0) / np.linalg.norm(vector)
        ahead, behind = (self.gradient(self.unflat(center + sign * step * vector)) for sign in (1, -1))
        return (ahead - behind) / (2 * step)

    def flat(self, arrays):
        """A list of arrays of the weights' shapes as one vector (P,) float64."""
        return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])

    def unflat(self, vector):
        """A vector (P,) as a list of arrays of the weights' shapes and dtypes."""
        ends = np.cumsum([weight.size for weight in self.weights])[:-1]
        pieces = np.split(np.asarray(vector), ends)
        return [p.reshape(w.shape).astype(w.dtype) for p, w in zip(pieces, self.weights, strict=True)]

    def _check(self):
        model = self.model
        several = isinstance(model, parts.ModelWithParts) and len(model.compiled_parts) > 1
        if several or not (isinstance(model, parts.ModelWithParts) or parts.has_keras_step(model)):
            raise UserError(f"a surface is of one loss; {model.name} has {'several' if several else 'its own step'}.")
        if not self.training:
            return
        if not self.statistics:
            raise UserError(f"batch statistics need batch normalisation; {model.name} has none.")
        if any("seed_generator" in variable.path for variable in model.variables):
            raise UserError(f"batch statistics need training mode, in which {model.name} draws dropout.")
        if len(self._batches) > 1:
            raise UserError(f"batch statistics need one batch; got {counted(len(self._batches), 'batches')}.")

    def _mean(self, of_batch):
        """The mean of of_batch(batch), tensors in any structure, over the examples, in float64."""
        total = None
        for batch, rows in zip(self._batches, self._rows, strict=True):
            share = tf.nest.map_structure(lambda t: np.float64(t) * (rows / self.examples), of_batch(batch))  # noqa: B023
            total = share if total is None else tf.nest.map_structure(np.add, total, share)
        return total

    def _numbers(self, weights, batch):
        """{"loss" and perhaps "error": scalar} of a batch at the given weights."""
        model, training = self.model, self.training
        with keras.StatelessScope(state_mapping=list(zip(self._variables, weights, strict=True))):
            if isinstance(model, parts.ModelWithParts):
                (part,) = model.compiled_parts
                return {"loss": model.total_losses(_as_given(batch), training)[part.name]}
            x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
            output = model(x, training=training)
            numbers = {"loss": model.compute_loss(x, y, output, weight, training=training)}
            wrong = _share_of_wrong(y, output, weight)
            return numbers if wrong is None else numbers | {"error": wrong}

    def _gradient(self, weights, batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = self._numbers(weights, batch)["loss"]
        gradient = tape.gradient(loss, weights, unconnected_gradients="zero")
        return list(map(tf.convert_to_tensor, gradient))  # that of an embedding has only the rows that were read

    def _product(self, weights, vector, batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            gradient = self._gradient(weights, batch)
            along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradient, vector, strict=True)])
        return list(map(tf.convert_to_tensor, tape.gradient(along, weights, unconnected_gradients="zero")))


def _as_given(batch):
    """A batch as ModelWithParts.compute_losses takes it: x, (x, y) or (x, y, weight)."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    return x if y is None else (x, y) if weight is None else (x, y, weight)


def _share_of_wrong(y, output, weight):
    """The share of wrong classes, if `output` has the logits of classes for whole numbers `y`; else None."""
    if not tf.is_tensor(y) or not tf.is_tensor(output) or not y.dtype.is_integer:
        return None
    if output.shape.rank != y.shape.rank + 1 or output.shape[-1] < 2:
        return None
    wrong = tf.cast(tf.argmax(output, -1, y.dtype) != y, tf.float32)
    if weight is None:
        return tf.reduce_mean(wrong)
    weight = tf.broadcast_to(tf.cast(weight, tf.float32), tf.shape(wrong))
    return tf.reduce_sum(wrong * weight) / tf.reduce_sum(weight)
