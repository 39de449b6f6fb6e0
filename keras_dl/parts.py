"""Models whose loss is not a function of output and target, or that have several optimizers.

    class GAN(parts.ModelWithParts):
        parts = property(lambda self: {
            "critic": self.critic.trainable_variables, "generator": self.generator.trainable_variables,
        })

        def compute_losses(self, batch, training, part=None): return {"critic": ..., "generator": ...}

    gan.compile({"critic": Adam(1e-4), "generator": Adam(1e-4)}, steps={"critic": 5})

Each optimizer trains one part of the model, with its own loss. A variational autoencoder has one part, a GAN two. A
plain compiled Keras model counts as one part.
"""

import dataclasses

import keras
import tensorflow as tf

from keras_dl.arguments import ArgumentError, Whole, check, shown
from keras_dl.errors import UserError

Steps = Whole(1, 1000)


@dataclasses.dataclass(frozen=True)
class Part:
    """The variables that one optimizer trains.

    Attributes:
        name: of the part; "" for the only part of a plain model.
        variables: trainable variables, in no other part.
        optimizer: a keras.optimizers.Optimizer.
        steps: gradient steps per batch.
    """

    name: str
    variables: list
    optimizer: object
    steps: int = 1


class ModelWithParts(keras.Model):
    """Base class of models that define their parts and their losses; train_step and test_step are derived from these.

    A subclass defines `parts` and `compute_losses`, makes its layers in its constructor, and is registered
    (keras.saving.register_keras_serializable) with a get_config, so that a file of it can be loaded. It works in
    training.fit and in Keras' own fit, evaluate, save and load_model.

    Training: on each batch the parts make their gradient steps one after another, in the order of `parts`. Each step
    uses the gradient of the part's loss with respect to the part's variables, at the weights after the step before,
    with new random numbers (Goodfellow et al., arXiv:1406.2661, algorithm 1). Assignments in compute_losses, such as
    those of batch normalisation's averages, happen in every step: compute_losses knows whose step it is.

    Reported: with one part "loss", with several "<part>_loss", and the names in `reported`: means over the examples of
    an epoch, for `reported` of the values at the steps of the first part.

    Attributes:
        reported: names of further numbers that compute_losses returns, to be shown and monitored.
    """

    reported = ()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.built = True  # its layers are built in the constructor; compile refuses a part without variables
        self._training_step = None

    @property
    def parts(self):
        """{part: its variables}; every trainable variable of the model in exactly one of them."""
        raise NotImplementedError(f"{type(self).__name__} must define the property parts: {{part: variables}}.")

    def compute_losses(self, batch, training, part=None):
        """The loss of every part, and the numbers in `reported`.

        Args:
            batch: x, (x, y) or (x, y, weight).
            training: True in a training step, False in evaluation.
            part: name of the part whose step it is. Only its loss is needed then, and for the first part `reported`: a
                model can leave the others out, and leave the other parts' batch statistics as they are. None: all.

        Returns:
            {part or name in `reported`: scalar}, each the mean over the examples of `batch`. With several replicas,
            `batch` is a replica's share, and the caller averages the losses over the replicas: use functions such as
            keras.losses.binary_crossentropy and their mean, not keras.losses.Loss objects, which divide by the number
            of replicas. Losses of layers (regularizers, add_loss) are added by the caller.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_losses(batch, training, part).")

    def compile(
        self,
        optimizer,
        *,
        steps=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Set how each part is trained.

        Args:
            optimizer: {part: Keras optimizer}; for a model with one part an optimizer is enough.
            steps: {part: number of gradient steps per batch}, 1 for parts that are not named. If k is the largest of
                them, a batch is split into k shares, row i into share i modulo k, and the n-th step of a part uses the
                n-th share: k critic steps use k different sets of examples (as in Gulrajani et al., arXiv:1704.00028,
                algorithm 1, with m examples for each: give data.batches k * m), and a resume needs to know only the
                number of batches. If a batch has fewer rows than shares, rows are used more than once.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: as in keras.Model.compile.

        Raises:
            UserError: `optimizer` or `steps` does not fit `parts`, two parts have the same optimizer, a part has no
                trainable variable, a variable is in two parts, or a trainable variable is in none.
        """
        variables = _trainable_of_parts(self)
        optimizers = _by_part(self, "optimizer", optimizer, variables)
        for name, given in optimizers.items():
            optimizers[name] = _optimizer(self, name, given)
        if len({id(each) for each in optimizers.values()}) < len(optimizers):
            raise ArgumentError(
                f"{self.name}.compile: each part must have an optimizer of its own; two parts were given the same one."
            )
        steps = _steps(self, steps or {}, variables)
        super().compile(
            optimizer=None, run_eagerly=run_eagerly, steps_per_execution=steps_per_execution, jit_compile=jit_compile
        )
        self._loss_tracker = None
        parts = []
        for name, its_variables in variables.items():
            its_optimizer = optimizers[name]
            if auto_scale_loss and self.dtype_policy.name == "mixed_float16":
                its_optimizer = _loss_scaling(its_optimizer)
            its_optimizer.build(its_variables)  # in compile's strategy scope: a replica may not make variables
            parts.append(Part(name, its_variables, its_optimizer, steps[name]))
        self._training_step = _TrainingStep(parts, self.reported)
        self._optimizers = {part.name: part.optimizer for part in parts}  # in a dict attribute, since Keras saves these
        self.optimizer = parts[0].optimizer if len(parts) == 1 else _SeveralOptimizers(parts)
        self._options = {
            "run_eagerly": run_eagerly, "steps_per_execution": steps_per_execution, "jit_compile": jit_compile,
        }  # fmt: skip

    @property
    def compiled_parts(self):
        """The parts as they were compiled, a list of Part.

        Raises:
            UserError: the model is not compiled.
        """
        if self._training_step is None:
            raise UserError(f"{self.name} must be compiled before it is trained or evaluated.")
        return self._training_step.parts

    @property
    def metrics(self):
        trackers = [] if self._training_step is None else self._training_step.trackers
        return [*trackers, *super().metrics]

    def train_step(self, data):
        batch = _batch(data)
        shares = max(part.steps for part in self.compiled_parts)
        for part in self.compiled_parts:
            for number in range(part.steps):
                share = batch if shares == 1 else _share(batch, number, shares)
                self._training_step.update(self._descend(part, share), share, part)
        return self.get_metrics_result()

    def test_step(self, data):
        batch = _batch(data)
        self._training_step.update(self.total_losses(batch, training=False), batch)
        return self.get_metrics_result()

    def total_losses(self, batch, training, part=None):
        """compute_losses plus the losses of layers, each added to the part with the layer's weights.

        Args:
            batch, training, part: as for compute_losses.

        Returns:
            {part or name in `reported`: scalar}, those that compute_losses returns.

        Raises:
            UserError: compute_losses does not return exactly one scalar for each part and each name in `reported`, or
                for the step of a part not those that it needs; or, with several parts, a layer adds a loss whose
                weights are in no part or in several.
        """
        # As in Layer.__call__, so that the losses of all calls of a layer in here are kept, not only those of the last.
        self._get_call_context()
        try:
            losses = dict(self.compute_losses(batch, training, part))
        finally:
            self._maybe_reset_call_context()
        _check_losses(self, losses, part)
        for each in self.compiled_parts:
            if each.name in losses:
                loss = keras.ops.cast(losses[each.name], "float32")
                for variable in each.variables:
                    if variable.regularizer is not None:
                        loss += keras.ops.cast(variable.regularizer(variable), "float32")
                losses[each.name] = loss
        for layer in self._flatten_layers():
            for added in layer._get_own_losses():
                if (owner := _owner(self, layer)) in losses:
                    losses[owner] += keras.ops.cast(keras.ops.sum(added), "float32")
        return losses

    def preconditioned(self, gradients, batch, part):
        """What the optimizer of a part is given in place of the gradient; here the gradient itself.

        A model whose steps know the curvature returns the negative of its direction instead (second_order.py).

        Args:
            gradients: of the part's loss, in the order of part.variables; None where it does not depend on one.
            batch: as for compute_losses.
            part: the Part whose step it is.

        Returns:
            As many tensors, in the same order.
        """
        return gradients

    def _descend(self, part, batch):
        """One gradient step of a part; returns total_losses at the weights before the step."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in part.variables])
            losses = self.total_losses(batch, training=True, part=part.name)
            # The gradients of the replicas, each from its share of the batch, are summed.
            share = losses[part.name] / tf.distribute.get_strategy().num_replicas_in_sync
            scaled = part.optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, [variable.value for variable in part.variables])
        part.optimizer.apply(self.preconditioned(gradients, batch, part), part.variables)
        return losses

    def get_compile_config(self):
        if self._training_step is None:
            return {}
        optimizers = {part.name: part.optimizer for part in self.compiled_parts}
        steps = {part.name: part.steps for part in self.compiled_parts}
        return keras.saving.serialize_keras_object({"optimizer": optimizers, "steps": steps} | self._options)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))


class _TrainingStep:
    """The compiled parts, and a keras.metrics.Mean for each reported number."""

    def __init__(self, parts, reported):
        self.parts, self.reported = parts, reported
        names = ["loss"] if len(parts) == 1 else [f"{part.name}_loss" for part in parts]
        self.means = {part.name: keras.metrics.Mean(name=name) for part, name in zip(parts, names, strict=True)}
        self.means |= {name: keras.metrics.Mean(name=name) for name in reported}

    @property
    def trackers(self):
        return list(self.means.values())

    def update(self, losses, batch, part=None):
        """Update the means with total_losses of a batch: after a step of `part`, or (None) all in an evaluation."""
        names = list(self.means) if part is None else [part.name]
        names += self.reported if part is self.parts[0] else ()
        rows = tf.shape(tf.nest.flatten(batch)[0])[0]
        for name in names:
            self.means[name].update_state(losses[name], sample_weight=rows)


class _SeveralOptimizers:
    """model.optimizer of a model with several parts; callbacks that change learning rates go over `optimizers`."""

    built = True

    def __init__(self, parts):
        self.optimizers = [part.optimizer for part in parts]

    @property
    def variables(self):
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]


def of(model):
    """The list of Part of a compiled model; a plain model is a single part."""
    if isinstance(model, ModelWithParts):
        return model.compiled_parts
    return [Part("", model.trainable_variables, getattr(model, "optimizer", None))]


def has_keras_step(model):
    """Whether the model has keras.Model's train_step, which minimises a compiled loss of its output."""
    return type(model).train_step is keras.Model.train_step


def training_losses(model):
    """A function batch -> {part: loss whose gradient a training step uses}, in training mode.

    A model with its own train_step and one part can define this loss as a method training_loss(batch) -> scalar.

    Returns:
        The function; None if the model's own train_step minimises something that the model does not define this way.
    """
    if isinstance(model, ModelWithParts):
        return lambda data: model.total_losses(_batch(data), training=True)
    if hasattr(model, "training_loss"):
        return lambda data: {"": model.training_loss(data) * tf.distribute.get_strategy().num_replicas_in_sync}
    if not has_keras_step(model):
        return None

    def compiled_loss(data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        loss = model.compute_loss(x, y, model(x, training=True), weight, training=True)
        return {"": loss * tf.distribute.get_strategy().num_replicas_in_sync}  # Keras divides by the replicas

    return compiled_loss


def _trainable_of_parts(model):
    """{part: its trainable variables}; ArgumentError unless each trainable variable is in exactly one part."""
    who, parts = f"{model.name}.compile", model.parts
    if not isinstance(parts, dict) or not parts or not all(isinstance(name, str) and name for name in parts):
        raise ArgumentError(f"{who}: parts must be {{name: variables}}, at least one; got {shown(parts)}.")
    clash = [name for name in model.reported if name in parts]
    if clash:
        raise ArgumentError(f"{who}: a reported number must not have the name of a part; got {clash[0]!r}.")
    trainable, owner = {}, {}
    for name, variables in parts.items():
        trainable[name] = [variable for variable in variables if variable.trainable]
        if not trainable[name]:
            raise ArgumentError(f"{who}: each part must have trainable variables, and be built; {name!r} has none.")
        for variable in trainable[name]:
            if id(variable) in owner:
                both = f"{owner[id(variable)]!r} and {name!r}"
                raise ArgumentError(f"{who}: a variable must be in one part; {variable.path} is in {both}.")
            owner[id(variable)] = name
    without = [variable.path for variable in model.trainable_variables if id(variable) not in owner]
    if without:
        raise ArgumentError(
            f"{who}: every trainable variable must be in a part; in none of {', '.join(parts)}: {without[0]}"
            f"{f' and {len(without) - 1} more' if len(without) > 1 else ''}. Freeze it, or add it to a part."
        )
    return trainable


def _by_part(model, argument, given, parts):
    """`given`, a dict or the value of the only part, as {part: value} in the order of the parts."""
    if len(parts) == 1 and not isinstance(given, dict):
        return dict.fromkeys(parts, given)
    if not isinstance(given, dict) or set(given) != set(parts):
        got = f"those of {', '.join(map(str, given)) or 'none'}" if isinstance(given, dict) else shown(given)
        raise ArgumentError(
            f"{model.name}.compile: {argument} must be {{part: {argument}}} for exactly {', '.join(parts)}; got {got}."
        )
    return {name: given[name] for name in parts}


def _optimizer(model, part, given):
    try:
        return keras.optimizers.get(given)
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            f"{model.name}.compile: the optimizer of {part!r} must be a Keras optimizer; got {shown(given)}."
        ) from error


def _loss_scaling(optimizer):
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _steps(model, given, parts):
    unknown = [name for name in given if name not in parts] if isinstance(given, dict) else [given]
    if unknown:
        raise ArgumentError(
            f"{model.name}.compile: steps must be {{part: steps}} of {', '.join(parts)}; got {shown(unknown[0])}."
        )
    return {name: check(f"{model.name}.compile: steps of {name!r}", Steps, given.get(name, 1)) for name in parts}


def _check_losses(model, losses, part):
    """Raise UserError unless `losses` are those that the step of `part` needs (None: all), each a scalar."""
    known = [*(each.name for each in model.compiled_parts), *model.reported]
    wanted = known if part is None else [part, *(model.reported if part == known[0] else ())]
    if not set(wanted) <= set(losses) <= set(known):
        got = ", ".join(losses) or "nothing"
        raise UserError(f"{model.name}.compute_losses must return exactly {', '.join(wanted)}; got {got}.")
    for name, value in losses.items():
        if len(keras.ops.shape(value)) > 0:
            shape = tuple(keras.ops.shape(value))
            raise UserError(f"{model.name}.compute_losses: {name!r} must be a scalar; got a tensor of shape {shape}.")


def _owner(model, layer):
    """Name of the part to whose loss a loss of `layer` is added: the part with the layer's weights."""
    parts = model.compiled_parts
    if len(parts) == 1:
        return parts[0].name
    weights = {id(variable) for variable in layer.trainable_variables}
    owners = [part.name for part in parts if any(id(variable) in weights for variable in part.variables)]
    if len(owners) == 1:
        return owners[0]
    raise UserError(
        f"{model.name}: the layer {layer.name} adds a loss, and belongs to {len(owners)} of the parts "
        f"{', '.join(part.name for part in parts)}. Add this loss to a part's in compute_losses."
    )


def _batch(data):
    """A batch of the pipeline as x, (x, y) or (x, y, weight)."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        return x
    return (x, y) if weight is None else (x, y, weight)


def _share(batch, number, shares):
    """Rows number, number + shares, number + 2 * shares, ... of every tensor; never empty, even for a small batch."""

    def rows(tensor):
        count = tensor.shape[0] if tensor.shape[0] is not None else tf.shape(tensor)[0]
        return tensor[number % count :: shares]

    return tf.nest.map_structure(rows, batch)
