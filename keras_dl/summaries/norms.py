"""Norms of weights and of gradients, by layer."""

import keras
import numpy as np
import tensorflow as tf

from keras_dl import errors, parts


def weight_norms(model):
    """{layer: Euclidean norm of its trainable weights}; with several parts the keys are "<part>/<layer>"."""
    norms = {}
    for layer, variables in by_layer(model).items():
        values = [keras.ops.convert_to_numpy(variable).astype(np.float64) for variable in variables]
        norms[layer] = float(np.sqrt(sum(np.sum(value**2) for value in values)))
    return norms


def gradient_norms(model, batch):
    """{layer: Euclidean norm of the gradient of the loss with respect to its weights}, in training mode.

    The loss is that of a training step (parts.training_losses), for each part its own. The model's state is unchanged.

    Args:
        model: compiled.
        batch: x, (x, y) or (x, y, weight), tensors or dictionaries of them.

    Raises:
        UserError: the model has a train_step of its own, whose loss is unknown (parts.training_losses returns None).
    """
    return gradient_norms_of(model)(batch)


def gradient_norms_of(model):
    """The function batch -> gradient_norms(model, batch), traced once for many calls."""
    losses_of = parts.training_losses(model)
    if losses_of is None:
        raise errors.UserError(
            f"summaries.gradient_norms: {model.name}, which has a train_step of its own, must say what that minimises: "
            "by a method training_loss(batch), or as a parts.ModelWithParts."
        )
    layers = by_layer(model)
    # In a StatelessScope Keras has no values for regularizers, unless they are passed to it.
    regularized = [v for v in model.trainable_variables if v.regularizer is not None]

    @tf.function(autograph=False, reduce_retracing=True)
    def norms(batch):
        # Assignments by batch norm, dropout's seeds and metrics stay within this scope and are discarded.
        with tf.GradientTape(persistent=True) as tape:
            values = [(variable, tf.convert_to_tensor(variable.value)) for variable in regularized]
            with keras.StatelessScope(state_mapping=values, collect_losses=True):
                losses = losses_of(batch)
        gradients = {}
        for part in parts.of(model):
            by_variable = tape.gradient(
                losses[part.name], [v.value for v in part.variables], unconnected_gradients="zero"
            )
            for variable, gradient in zip(part.variables, by_variable, strict=True):
                # An embedding's gradient consists of slices; this adds up the slices of the same token.
                gradients[id(variable)] = tf.cast(tf.convert_to_tensor(gradient), tf.float32)
        return {
            layer: tf.linalg.global_norm([gradients[id(variable)] for variable in variables])
            for layer, variables in layers.items()
        }

    def of_batch(batch):
        strategy = tf.distribute.get_strategy()
        each = strategy.run(norms, args=(batch,))  # every replica takes the same batch
        return {layer: float(strategy.experimental_local_results(each[layer])[0]) for layer in layers}

    return of_batch


def summarized(model, norms):
    """What norms by layer come to: {name: norm}, with several parts {"<part>/<name>": norm}.

    Args:
        model: compiled.
        norms: as weight_norms and gradient_norms return them.

    Returns:
        "total", the norm of all together; if there are several layers also "smallest_layer" and "largest_layer".
    """
    several, summary = parts.of(model), {}
    for part in several:
        prefix = f"{part.name}/" if len(several) > 1 else ""
        own = [norm for layer, norm in norms.items() if layer.startswith(prefix)]
        summary[f"{prefix}total"] = float(np.sqrt(np.sum(np.square(own))))
        if len(own) > 1:
            summary |= {f"{prefix}smallest_layer": min(own), f"{prefix}largest_layer": max(own)}
    return summary


def by_layer(model):
    """{layer: its trainable variables}; with several parts the keys are "<part>/<layer>"."""
    several, layers = parts.of(model), {}
    for part in several:
        for variable in part.variables:
            layer = variable.path.rpartition("/")[0]
            layers.setdefault(f"{part.name}/{layer}" if len(several) > 1 else layer, []).append(variable)
    return layers
