"""WaveNet: sound sample by sample, each predicted from those before it by causal dilated convolutions.

Source: van den Oord et al., "WaveNet: A Generative Model for Raw Audio" (arXiv:1609.03499), sections 2.1 to 2.5 and
figure 4, equations 1 to 4. The paper states no number of layers or channels; the defaults are three of its blocks of
dilations, 1, 2, 4, ..., 512, and small widths.

    z_k = tanh(W_{f,k} * x_k + V_{f,k} h) * sigmoid(W_{g,k} * x_k + V_{g,k} h)        x_1 = a causal convolution
    x_{k+1} = x_k + a 1x1 convolution of z_k        skips = sum over k of 1x1 convolutions of z_k
    output = 1x1 convolution of ReLU(1x1 convolution of ReLU(skips))

h is the same at all steps, such as a speaker (equation 3), or a sequence of features that is up-sampled by a
transposed convolution (equation 4), or both.
Generation: each layer keeps the steps that its convolution still needs (Paine et al., arXiv:1611.09482).
Deviations: both halves of a gate are one convolution; the residual and the skip connection have each a 1x1 convolution
of their own, where figure 4 has one for both; the last layer has no residual, which nobody would read; a mixture of
discretised logistic distributions of 16-bit samples (arXiv:1711.10433, section 2.1) is an option. In it samples come in
as numbers in [-1, 1], in the softmax as one-hot vectors.
Shapes: B sequences or N rows, T steps, L levels, P parameters of a step, F filters, S features over time of D entries.
Laws and figures: python -m keras_dl list wavenet
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Tuple, Whole, checked
from keras_dl.decoding import Cost, SampleFrom
from keras_dl.decoding.requirements import require, rows_of
from keras_dl.distributions import DiscreteLevel
from keras_dl.layers.causal_convolution import (
    CausalConv1D,
    OneHotCausalConv1D,
    ScaledLevels,
    Upsampling1D,
    receptive_field,
)
from keras_dl.layers.masked_convolution import GatedUnit, gated
from keras_dl.models._sizes import Classes, TokensShape, Width, check_weights
from keras_dl.wording import counted

PARAMETERS = 256_000  # trainable, at the defaults
Dilations = Tuple(Whole(1, 65_536), most=48)
MOST_LAYERS = 48  # more would be too many nested calls for Keras


@checked
def build_wavenet(
    input_shape: TokensShape = (None,),
    levels: Whole(2, 65_536) = 256,
    *,
    output: OneOf("categorical", "logistic_mixture") = "categorical",
    components: Whole(1, 1000) = 10,
    dilations: Dilations = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    num_blocks: Whole(1, MOST_LAYERS) = 3,
    kernel_size: Whole(2, 99) = 2,
    filters: Width = 32,
    skip_filters: Width = 64,
    num_classes: Classes | None = None,
    condition_dim: Width | None = None,
    features_dim: Width | None = None,
    hop_length: Width = 80,
    name: ModelName = "wavenet",
):
    """Build a WaveNet, conditional or not.

    Args:
        input_shape: (T,), without the batch axis; T None for any length.
        levels: L, number of values of a sample: 256 of mu-law, or 65,536 of 16 bits with "logistic_mixture".
        output: the distribution of a sample: "categorical" (a softmax over the levels) or "logistic_mixture" (of
            discretised logistic distributions).
        components: of each logistic mixture; of no effect with "categorical".
        dilations: of the layers of a block, the lowest first.
        num_blocks: how often the block is repeated.
        kernel_size: of all causal convolutions.
        filters: F, of the residual path and of each gate.
        skip_filters: of the skip connections and of the layer above their sum.
        num_classes: condition on a class (B,), such as a speaker or a word.
        condition_dim: condition on a vector (B, condition_dim). At most one of the two.
        features_dim: condition on features over time, (B, S, features_dim).
        hop_length: steps of a feature: feature s is of the steps from s * hop_length on; only with features_dim.
        name: name of the model.

    Returns:
        An uncompiled WaveNet: "audio" (B, T) int32, levels, or a dict of it and "label" (B,) int32, "condition"
        (B, condition_dim) float32, "features" (B, S, features_dim) float32, S * hop_length at least T -> "parameters"
        (B, T, P) float32 of the distribution of the sample after each step. Features of a step are those of the sample
        that is predicted there. Its methods begin, step and read generate step by step.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> model = build_wavenet(dilations=(1, 2, 4), num_blocks=1, filters=4, skip_filters=6)
    >>> model.output_shape, model.receptive_field  # 1 + 1 + 1 + 2 + 4
    ((None, None, 256), 9)
    """
    _check(dilations, num_blocks, num_classes, condition_dim)
    dilations *= num_blocks
    one_hot = output == "categorical"
    outputs = DiscreteLevel.parameters_of(output, levels, components)
    context = (condition_dim or num_classes or 0) + (features_dim or 0)
    check_weights(
        "build_wavenet",
        kernel_size * (levels if one_hot else 1) * filters
        + len(dilations) * (filters * (2 * kernel_size * filters + filters + skip_filters) + 2 * context * filters)
        + skip_filters * (skip_filters + outputs)
        + hop_length * (features_dim or 0) ** 2,
    )
    inputs = {"audio": keras.Input(input_shape, dtype="int32", name="audio")}
    if one_hot:
        x = OneHotCausalConv1D(levels, filters, kernel_size, name="causal")(inputs["audio"])
    else:
        x = CausalConv1D(filters, kernel_size, name="causal")(ScaledLevels(levels, name="scaled")(inputs["audio"]))
    given = _contexts(inputs, num_classes, condition_dim, features_dim, hop_length)
    skips = []
    for number, dilation in enumerate(dilations, 1):
        gates = CausalConv1D(2 * filters, kernel_size, dilation_rate=dilation, name=f"layer{number}_gates")(x)
        of_context = given(2 * filters, f"layer{number}")
        if of_context:
            gates = layers.Add(name=f"layer{number}_sum")([gates, *of_context])
        z = GatedUnit(name=f"layer{number}_unit")(gates)
        skips.append(layers.Dense(skip_filters, name=f"layer{number}_skip")(z))
        if number < len(dilations):
            residual = layers.Dense(filters, name=f"layer{number}_residual")(z)
            x = layers.Add(name=f"layer{number}_output")([x, residual])
    x = layers.Add(name="skips")(skips) if len(skips) > 1 else skips[0]
    x = layers.Dense(skip_filters, name="top")(layers.ReLU(name="skips_relu")(x))
    x = layers.Dense(outputs, dtype="float32", name="parameters")(layers.ReLU(name="top_relu")(x))
    given_inputs = inputs if len(inputs) > 1 else inputs["audio"]
    return WaveNet(given_inputs, x, name=name, num_layers=len(dilations), levels=levels, output_kind=output)


def wavenet_space(hp):
    """What to search: depth and width; untouched, it gives build_wavenet's defaults."""
    longest = hp.Choice("longest", [64, 128, 256, 512], default=512)
    filters = hp.Choice("filters", [16, 32, 64], default=32)
    return {
        "dilations": tuple(2**n for n in range(longest.bit_length())),
        "num_blocks": hp.Choice("num_blocks", [1, 2, 3], default=3),
        "filters": filters,
        "skip_filters": 2 * filters,
    }


def _check(dilations, num_blocks, num_classes, condition_dim):
    if num_blocks * len(dilations) > MOST_LAYERS:
        raise ArgumentError(
            f"build_wavenet: there must be at most {counted(MOST_LAYERS, 'layers')} in all; got "
            f"num_blocks={num_blocks} of {counted(len(dilations), 'dilations')} each. "
            f"Nearest: num_blocks={MOST_LAYERS // len(dilations)}."
        )
    if num_classes and condition_dim:
        raise ArgumentError(
            f"build_wavenet: at most one of num_classes and condition_dim must be given; got num_classes={num_classes} "
            f"and condition_dim={condition_dim}. Nearest: num_classes={num_classes}."
        )


def _contexts(inputs, num_classes, condition_dim, features_dim, hop_length):
    """Adds the context's inputs to `inputs`; given(units, name) -> the list of what it adds to a layer's gates."""
    if num_classes:
        inputs["label"] = keras.Input((), dtype="int32", name="label")
    if condition_dim:
        inputs["condition"] = keras.Input((condition_dim,), dtype="float32", name="condition")
    features = None
    if features_dim:
        steps = inputs["audio"].shape[1]
        length = -(-steps // hop_length) if steps else None
        inputs["features"] = keras.Input((length, features_dim), dtype="float32", name="features")
        features = Upsampling1D(features_dim, hop_length, name="upsampling")([inputs["features"], inputs["audio"]])

    def given(units, name):
        terms = []
        if num_classes:  # V h with a one-hot h
            terms.append(layers.Embedding(num_classes, units, name=f"{name}_context")(inputs["label"]))
        if condition_dim:
            terms.append(layers.Dense(units, use_bias=False, name=f"{name}_context")(inputs["condition"]))
        terms = [layers.Reshape((1, units), name=f"{name}_context_everywhere")(x) for x in terms]
        if features_dim:
            terms.append(layers.Dense(units, use_bias=False, name=f"{name}_features")(features))
        return terms

    return given


class _Memory(NamedTuple):
    """What no step changes.

    Attributes:
        prepared: weights as a step needs them, read and arranged once for all steps.
        context: what a label or a condition adds to the gates of each layer, (B, 2F) each; () if there is none.
        features: the up-sampled features (B, S hop_length, D); () if there are none.
    """

    prepared: Any
    context: Any = ()
    features: Any = ()


@keras.saving.register_keras_serializable("keras_dl")
class WaveNet(keras.Model):
    """The model of build_wavenet: a functional model that also generates step by step (decoding.Stepwise).

    The state is {"count" (N,): steps so far; "before": for each causal convolution, the lowest first, the steps that
    it still needs}. The memory is a _Memory. Rows of one context are adjacent.

    Args:
        inputs, outputs, name: of keras.Model.
        num_layers: number of dilated layers.
        levels, output_kind: of a sample's DiscreteLevel.
    """

    def __init__(self, *args, num_layers=None, levels=None, output_kind=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers, self.levels, self.output_kind = num_layers, levels, output_kind

    @property
    def receptive_field(self):
        """The number of samples on which the distribution of the next one depends."""
        first, *others = self._causal()
        return receptive_field(first.kernel_size, [1, *(layer.dilation_rate for layer in others)])

    @property
    def num_classes(self):
        """The number of classes of the input "label"; None without it."""
        labelled = any(x.name == "label" for x in self.inputs)
        return self.get_layer("layer1_context").input_dim if labelled else None

    def begin(self, context=None, *, rows=None, grows=True):
        """(memory, state) before the first sample, with silence (zeros) before it.

        Args:
            context: the "label" (B,), "condition" (B, C) or "features" (B, S, D); of several a dict.
            rows: B if the model has no context.
            grows: the state's shapes never change, whatever it says.

        Raises:
            ValueError: as decoding.Stepwise says.
        """
        names = [x.name for x in self.inputs if x.name != "audio"]
        given = context if isinstance(context, dict) else dict.fromkeys(names[:1], context)
        if context is not None and sorted(given) != sorted(names) and names:
            raise ValueError(f"WaveNet.begin: context must have {' and '.join(names)}; got {' and '.join(given)}.")
        for name in names or [None]:
            shown = given[name] if name else context
            rows = rows_of("WaveNet.begin", shown, rows, " and ".join(names) or None)
        state = {"count": tf.zeros([rows], tf.int32), "before": [layer.first(rows) for layer in self._causal()]}
        of_all = [given[name] for name in ("label", "condition") if name in given]
        of_all = [layer(of_all[0]) for layer in self._named("context")] if of_all else ()
        features = ()
        if "features" in given:
            upsampling = self.get_layer("upsampling")
            features = upsampling.all_steps(tf.cast(given["features"], upsampling.compute_dtype))
        return _Memory(self._prepared(), of_all, features), state

    def step(self, inputs, state, memory):
        """Levels (N,) int32 and a state of N rows -> (parameters (N, P) float32, state)."""
        first, *causal = self._causal()
        entered = inputs if isinstance(first, OneHotCausalConv1D) else self.get_layer("scaled")(inputs)
        x, *before = first.step(entered, state["before"][0], memory.prepared["causal"])
        added = self._of_context(memory, tf.shape(inputs)[0], state["count"], 1)
        outputs = []
        for number, (layer, weights) in enumerate(zip(causal, memory.prepared["layers"], strict=True), 1):
            gates, kept = layer.step(x, state["before"][number], weights["gates"])
            before.append(kept)
            outputs.append(gated(sum((term[:, 0] for term in added(number)), gates)))
            if "residual" in weights:
                x += _dense(outputs[-1], weights["residual"])
        skips = _dense(tf.concat(outputs, -1), memory.prepared["skips"])
        top = _dense(tf.nn.relu(skips), memory.prepared["top"])
        parameters = _dense(tf.cast(tf.nn.relu(top), tf.float32), memory.prepared["parameters"])
        return parameters, {"count": state["count"] + 1, "before": before}

    def read(self, inputs, state, memory, training=False):
        """Several steps at once, as fast as calling the model.

        Args:
            inputs: levels (N, T).
            state: of N rows.

        Returns:
            (parameters (N, T, P) float32, state)
        """
        rows, steps = tf.unstack(tf.shape(inputs))
        first, *causal = self._causal()
        entered = inputs if isinstance(first, OneHotCausalConv1D) else self.get_layer("scaled")(inputs)
        x = first(entered, before=state["before"][0])
        before = [first.following(entered, state["before"][0])]
        added = self._of_context(memory, rows, state["count"], steps)
        outputs = []
        for number, (layer, residual) in enumerate(zip(causal, self._named("residual"), strict=True), 1):
            gates = layer(x, before=state["before"][number])
            before.append(layer.following(x, state["before"][number]))
            outputs.append(gated(sum(added(number), gates)))
            x = x + residual(outputs[-1]) if residual is not None else x
        skips = sum(layer(z) for layer, z in zip(self._named("skip"), outputs, strict=True))
        top = tf.nn.relu(self.get_layer("top")(tf.nn.relu(skips)))
        return self.get_layer("parameters")(top), {"count": state["count"] + steps, "before": before}

    def draw(self, seed, temperature=1.0):
        """How the next sample is drawn from the parameters of its distribution, for decoding.generate."""
        return SampleFrom(self.distribution, seed, temperature)

    def distribution(self, parameters):
        """The distribution of the sample after each step, a DiscreteLevel: parameters (..., P)."""
        return DiscreteLevel(self.output_kind, parameters, self.levels)

    def cost(self):
        """The cost of a generated sample, a decoding.Cost."""
        of_layers = sum(layer.filters for layer in [*self._named("gates"), *self._causal()])
        return Cost(passes=1, floats=max(1, of_layers // 8), chain=self.num_layers)

    def state_size(self):
        """How many numbers a row keeps from step to step."""
        return sum(layer.reach * layer.kernel.shape[1] for layer in self._causal()[1:])

    def _causal(self):
        """The causal convolutions, the lowest first."""
        return [self.get_layer("causal"), *self._named("gates")]

    def _named(self, part):
        """The layers of that name, such as "gates", of all dilated layers; None where there is none."""
        named = {layer.name: layer for layer in self.layers}
        return [named.get(f"layer{number}_{part}") for number in range(1, self.num_layers + 1)]

    def _of_context(self, memory, rows, count, steps):
        """added(number) -> what the context adds to a layer's gates: tensors (N, 1 or T, 2F) for `steps` steps."""
        of_features, now = self._named("features"), None
        if not isinstance(memory.features, tuple):
            end = tf.reduce_max(tf.concat([[0], count], 0)) + steps  # the same in all rows
            enough = "WaveNet: features must reach to the last step; take more of them, or fewer steps."
            features = require(end <= tf.shape(memory.features)[1], enough, memory.features)
            now = _of_rows(tf.gather(features, tf.range(end - steps, end), axis=1), rows)

        def added(number):
            terms = [_of_rows(memory.context[number - 1], rows)[:, None]] if memory.context else []
            return terms if now is None else [*terms, of_features[number - 1](now)]

        return added

    def _prepared(self):
        """The weights of `step`: of each layer the gates' and the residual's, one product for all skip connections."""

        def weights(layer):
            return tuple(tf.cast(weight, layer.compute_dtype) for weight in (layer.kernel, layer.bias))

        per_layer = []
        for gates, residual in zip(self._named("gates"), self._named("residual"), strict=True):
            own = {"gates": gates.step_weights()}
            per_layer.append(own if residual is None else own | {"residual": weights(residual)})
        kernels, biases = zip(*map(weights, self._named("skip")), strict=True)
        top, parameters = (weights(self.get_layer(name)) for name in ("top", "parameters"))
        skips = tf.concat(kernels, 0), tf.add_n(biases)
        causal = self.get_layer("causal").step_weights()
        return {"causal": causal, "layers": per_layer, "skips": skips, "top": top, "parameters": parameters}

    def get_config(self):
        return super().get_config() | {
            "num_layers": self.num_layers, "levels": self.levels, "output_kind": self.output_kind,
        }  # fmt: skip


def _dense(x, weights):
    """x (N, D) times a kernel (D, F), plus a bias."""
    kernel, bias = weights
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def _of_rows(x, rows):
    """A context's tensor (B, ...) for N rows, N a multiple of B."""
    return tf.repeat(x, rows // tf.maximum(tf.shape(x)[0], 1), axis=0)
