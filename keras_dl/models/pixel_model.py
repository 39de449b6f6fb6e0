"""The model class of pixelcnn, gated_pixelcnn and pixelrnn: an exact density of images, one value after the other.

    p(x) = prod_t p(x_t | x_1, ..., x_{t-1})

x_t are the values of an image in raster order: row by row, in a row from left to right, and in a pixel one channel
after the other, red, green, blue.
Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), equations 1 and 2.
Shapes: B images or N rows of a step, H height, W width, C channels, P parameters of the distribution of a value.
"""

import keras
import tensorflow as tf

from keras_dl import distributions
from keras_dl.decoding.pixels import one_at_least
from keras_dl.decoding.requirements import require, require_levels, rows_of
from keras_dl.models._pixels import Memory

CONTEXTS = {"label": "int32", "condition": "float32", "map": "float32"}  # inputs beside "image", and their dtypes


@keras.saving.register_keras_serializable("keras_dl")
class PixelModel(keras.Model):
    """A functional model from an image to the distribution of each of its values given those before it.

    Inputs: "image" (B, H, W, C) float32, whole levels from 0 to levels - 1; a conditional model takes
    {"image": ..., "label": (B,) int32} or "condition" (B, D) float32 or "map" (B, H, W, M) float32 in place of "label".
    Its first layer is "scaled": levels to [-1, 1].
    Output: "parameters" (B, H, W, C, P) float32, P = DiscreteLevel.parameters_of(output, levels, components).

    Step by step (decoding.Stepwise) it computes the parameters of one value after the other, and only what is new in
    each step. Input of a step is the value of the step before (ignored in the first one). The state is
    {"count" (N,) int32: values so far; "row" (N, W, C): the values so far of the current row, scaled as the network
    takes them, 0 where there is none yet; "own": what the architecture keeps}.

    A subclass defines methods that see no values but those before the one to be predicted:

        first_state(rows)                          the state before the first row, a nest of tensors (rows, ...)
        next_row(above, index, state, memory)      the state at the beginning of a row
        pixel(row, column, state, memory)          the parameters of a pixel of this row, and the state after it
        prepared()                                 what next_row and pixel need of the weights, computed once
        of_context(context)                        what next_row needs of the context, computed once

    Args:
        inputs, outputs, name: of keras.Model.
        output: "bernoulli", "categorical" or "logistic_mixture", the distribution of a value.
        levels: number of values; 2 with "bernoulli".
    """

    def __init__(self, *args, output="bernoulli", levels=2, **kwargs):
        super().__init__(*args, **kwargs)
        self.output_kind, self.levels = output, levels

    @property
    def image_shape(self):
        """(H, W, C)."""
        return tuple(self.output.shape[1:4])

    @property
    def context_name(self):
        """Name of the input on which the images depend, "label", "condition" or "map"; None if there is none."""
        return next((tensor.name for tensor in self.inputs if tensor.name in CONTEXTS), None)

    @property
    def num_classes(self):
        """K, the number of labels; None if the images do not depend on a label."""
        if self.context_name != "label":
            return None
        return next(layer.input_dim for layer in self.layers if isinstance(layer, keras.layers.Embedding))

    def distribution(self, parameters):
        """The distributions.DiscreteLevel of values (...) with parameters (..., P)."""
        return distributions.DiscreteLevel(self.output_kind, parameters, self.levels)

    def log_probs(self, inputs):
        """log p of every value given those before it, and the context if there is one, in nats: (B, H, W, C).

        `inputs` as in a call of the model; but here B may be 0, of which TensorFlow's convolutions make an error.

        Raises:
            ValueError: the image has values that are no levels, or the context is not one for each image, or none of
                this model's. Within a graph an assertion says so.
        """
        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        image, context = inputs, None
        if isinstance(inputs, dict):
            image, context = inputs["image"], inputs.get(self.context_name)
        context, _ = self.check_context("log_prob", context, tf.shape(image)[0])
        image = require_levels(f"{type(self).__name__}.log_prob: image", image, self.levels, image)
        inputs = image if context is None else {"image": image, self.context_name: context}
        some = tf.nest.map_structure(one_at_least, inputs)
        parameters = self(some, training=False)
        logs = self.distribution(parameters).log_prob(some["image"] if isinstance(inputs, dict) else some)
        return logs[: tf.shape(image)[0]]

    def log_prob(self, inputs):
        """log p of images, the sum of their log_probs: (B,) nats."""
        return tf.reduce_sum(self.log_probs(inputs), [1, 2, 3])

    def with_context(self, image, context=None):
        """The inputs of a call: the image alone, or {"image": image, name of the context: context}.

        Raises:
            ValueError: the context is missing, or is none of this model's.
        """
        image = image if self.context_name is None else tf.convert_to_tensor(image)
        context, _ = self.check_context("with_context", context, tf.shape(image)[0])
        return image if context is None else {"image": image, self.context_name: context}

    def check_context(self, method, context, rows=None):
        """Refuse a context that is none of this model's.

        Args:
            method: whose argument it is, for the message.
            context: as in `begin`.
            rows: B, a number or a scalar tensor; None: that of the context.

        Returns:
            (the context as a tensor, or None; B)

        Raises:
            ValueError: it is missing, or there is none in this model, or it has another shape or number of rows, or
                a label that is no class. Within a graph assertions say so where the values are not known.
        """
        who, name = f"{type(self).__name__}.{method}", self.context_name
        rows = rows_of(who, context, rows, name)
        if context is None:
            return None, rows
        context, wanted = tf.convert_to_tensor(context), next(x for x in self.inputs if x.name == name)
        if not context.shape.is_compatible_with(wanted.shape):
            raise ValueError(f"{who}: {name} must have the shape {wanted.shape}; got {tuple(context.shape)}.")
        if name == "label":
            if not context.dtype.is_integer:
                raise ValueError(f"{who}: label must be whole numbers; got {context.dtype.name}.")
            inside = tf.reduce_all((context >= 0) & (context < self.num_classes))
            context = require(inside, f"{who}: label must be from 0 to {self.num_classes - 1}.", context)
        return context, rows

    # Step by step

    def begin(self, context=None, *, rows=None):
        """Memory and state before the first value.

        Args:
            context: labels (B,), conditions (B, D) or maps (B, H, W, M) of a conditional model, else None.
            rows: B; None: the number of rows of the context.

        Returns:
            (memory, state): a _pixels.Memory, and a state of B rows.

        Raises:
            ValueError: as check_context.
        """
        context, rows = self.check_context("begin", context, rows)
        width, channels = self.image_shape[1:]
        row = tf.zeros([rows, width, channels], self.compute_dtype)
        state = {"count": tf.zeros([rows], tf.int32), "row": row, "own": self.first_state(rows)}
        return Memory(self.prepared(), () if context is None else self.of_context(context)), state

    def step(self, inputs, state, memory):
        """One value of N images.

        Args:
            inputs: (N,) the levels of the value before, any dtype; ignored in the first step.
            state: of N rows, as `begin` and `step` return it; all rows are at the same value.
            memory: as `begin` returns it, of B rows, of which N is a multiple.

        Returns:
            (parameters (N, P) float32 of the next value, state)
        """
        _, width, channels = self.image_shape
        count = tf.reduce_max(tf.concat([[0], state["count"]], 0))  # 0 if there are no rows
        place = count % (width * channels)
        row = self._with_value(state["row"], inputs, count)

        def new_row():
            index = count // (width * channels)
            of_rows = memory._replace(context=tf.nest.map_structure(lambda x: _repeated(x, row), memory.context))
            own = self.next_row(row, index, state["own"], of_rows)
            return tf.zeros_like(row), own

        row, own = tf.cond(tf.equal(place, 0), new_row, lambda: (row, state["own"]))
        tf.nest.map_structure(lambda new, old: new.set_shape(old.shape), own, state["own"])
        parameters, after = self.pixel(row, place // channels, own, memory)
        if channels > 1:  # what a pixel leaves behind is known when its last channel is
            last = tf.equal(place % channels, channels - 1)
            after = tf.nest.map_structure(lambda new, old: tf.where(last, new, old), after, own)
            parameters = tf.gather(parameters, place % channels, axis=1)
        else:
            parameters = parameters[:, 0]
        return tf.cast(parameters, tf.float32), {"count": state["count"] + 1, "row": row, "own": after}

    def prepared(self):
        """What `next_row` and `pixel` need of the weights, computed once: a nest of tensors."""
        return ()

    def of_context(self, context):
        """What `next_row` needs of the context, computed once: a nest of tensors of B rows."""
        return context

    def first_state(self, rows):
        """The architecture's state before the first row, a nest of tensors (rows, ...), such as rows of zeros."""
        raise NotImplementedError(f"{type(self).__name__} must define first_state(rows).")

    def next_row(self, above, index, state, memory):
        """The state at the beginning of a row.

        Args:
            above: (N, W, C) scaled values of the whole row above; zeros before the first row.
            index: of the row, a scalar int32, from 0.
            state: as first_state or pixel returned it.
            memory: a _pixels.Memory, its context of N rows.

        Returns:
            The state, with the same dtypes and shapes.
        """
        raise NotImplementedError(f"{type(self).__name__} must define next_row(above, index, state, memory).")

    def pixel(self, row, column, state, memory):
        """The parameters of all channels of a pixel, those of a channel from the channels before it.

        Args:
            row: (N, W, C) scaled values of the row before this pixel, and this pixel's channels so far; else zeros.
            column: of the pixel, a scalar int32, from 0.
            state: as next_row or pixel returned it.
            memory: a _pixels.Memory; its context is not for this method.

        Returns:
            (parameters (N, C, P), state). Parameters of channels whose predecessors are not known yet are not used.
            With C > 1 the method is called for each channel, and only the last of these states is kept.
        """
        raise NotImplementedError(f"{type(self).__name__} must define pixel(row, column, state, memory).")

    def _with_value(self, row, values, count):
        """The current row with the value of the step before; unchanged in the first step."""
        width, channels = row.shape[1:]
        scaled = tf.cast(self.get_layer("scaled")(tf.cast(values, tf.float32)), row.dtype)
        place = tf.where(count > 0, (count - 1) % (width * channels), -1)
        here = tf.equal(tf.reshape(tf.range(width * channels), [width, channels]), place)
        return tf.where(here, scaled[:, None, None], row)

    def get_config(self):
        return super().get_config() | {"output": self.output_kind, "levels": self.levels}


def _repeated(context, row):
    """A context of B rows, repeated to the N rows of a step."""
    if context.shape[0] is not None and context.shape[0] == row.shape[0]:
        return context
    wanted, rows = tf.shape(row)[0], tf.shape(context)[0]
    return tf.repeat(context, wanted // tf.maximum(rows, 1), 0)
