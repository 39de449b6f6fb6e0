"""Training steps that know the curvature: Newton's method, saddle-free Newton, the natural gradient.

    model = second_order.SecondOrder(network, rule="saddle_free_newton", damping="search")
    model.compile(optimizers.build("sgd", 1.0))     # theta <- theta + rate * direction
    model.fit(...)                                  # or training.fit; it saves, loads and resumes

With g the gradient of the batch's loss, H its Hessian = Q Lambda Q^T, and F its Fisher matrix, the directions are

    gradient                       -g
    damped_newton                  -(H + damping I)^-1 g;  with a damping of 0 Newton's method, which goes to the next
                                   critical point, be it a saddle
    saddle_free_newton             -(|H| + damping I)^-1 g,  |H| = Q |Lambda| Q^T: saddles repel
    natural_gradient               -(F + damping I)^-1 g: the steepest descent where steps are measured by how much
                                   they change the network as a function
    empirical_natural_gradient     the same with the mean of g_i g_i^T of the labels of the data, which is not F

Sources: Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
optimization" (arXiv:1406.2572), algorithm 1, here with the exact Hessian, as in its experiments on small networks;
Pascanu and Bengio, "Revisiting natural gradient for deep networks" (arXiv:1301.3584). Matrices are exact, and are
decomposed in every step: for networks of up to some 2,000 weights. A matrix is computed on the batch whose gradient it
divides: give all examples of a small data set in one batch.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl import parts
from keras_dl.arguments import ArgumentError, Number, OneOf, check
from keras_dl.errors import UserError
from keras_dl.laboratory import curvature

RULES = ("gradient", "damped_newton", "saddle_free_newton", "natural_gradient", "empirical_natural_gradient")
LIKELIHOODS = ("categorical", "normal")
SEARCH = "search"
DAMPINGS = tuple(10.0**-power for power in range(7))  # that "search" tries in every step, as the paper does
MOST = 4000  # weights: the decomposition of a larger matrix takes minutes


def direction(rule, gradient, matrix, damping=0.0):
    """`directions` for a single damping: (P,)."""
    return directions(rule, gradient, matrix, [damping])[0]


def directions(rule, gradient, matrix, dampings):
    """The directions of a rule, one for each damping.

    Args:
        rule: one of RULES but "gradient".
        gradient: (P,).
        matrix: (P, P) symmetric, the Hessian or a Fisher matrix.
        dampings: list of D numbers of at least 0. Where the matrix with its damping is singular up to rounding, a
            direction has no part in the singular space (pseudo-inverse).

    Returns:
        (D, P) tensor.
    """
    values, vectors = tf.linalg.eigh(tf.convert_to_tensor(matrix))
    along = tf.linalg.matvec(vectors, tf.cast(gradient, values.dtype), transpose_a=True)
    if rule == "saddle_free_newton":
        values = tf.abs(values)
    elif rule != "damped_newton":
        values = tf.nn.relu(values)  # a Fisher matrix has no negative ones but by rounding
    damped = values[None] + tf.constant(dampings, values.dtype)[:, None]
    precision = values.shape[0] * np.finfo(values.dtype.as_numpy_dtype).eps
    rounding = precision * tf.reduce_max(tf.abs(damped), 1, keepdims=True)
    steps = tf.where(tf.abs(damped) > rounding, along[None] / damped, tf.zeros_like(damped))
    return -tf.matmul(steps, vectors, transpose_b=True)


@keras.saving.register_keras_serializable("keras_dl")
class SecondOrder(parts.ModelWithParts):
    """A network that is trained by a rule of this module.

    The loss is the mean negative log-likelihood of a batch: the cross-entropy of whole labels (B,), or half the squared
    error of targets (B, K), a normal distribution of variance 1; and the network's regularizers. The optimizer gets the
    negative direction as its gradient: plain "sgd" follows the rule, with its learning rate as the length of the step.

    Args:
        network: a functional keras.Model with one output (B, K): logits, or means.
        rule: one of RULES.
        likelihood: "categorical" or "normal".
        damping: number of at least 0, or "search": in each step that of DAMPINGS whose step leads to the lowest loss on
            the batch.
        radius: None; or the length of all steps before the learning rate, as the rule's own matrix M measures it:
            d^T M d = radius^2, which is the solution of the linearised problem in a trust region
            (laboratory.trust_region). For the natural gradient this is a fixed step in function change: each step
            changes the network's distribution by a KL divergence of about radius^2 / 2.
        name: name of the model.

    Raises:
        ArgumentError: an argument is none of these, there are too many weights, or a radius is asked of
            "damped_newton", whose matrix measures no length.
    """

    def __init__(
        self, network, *, rule="saddle_free_newton", likelihood="categorical", damping=1e-3, radius=None, name=None
    ):
        super().__init__(name=name)
        who = "SecondOrder"
        self.rule = check(f"{who}: rule", OneOf(*RULES), rule)
        self.likelihood = check(f"{who}: likelihood", OneOf(*LIKELIHOODS), likelihood)
        self.damping = damping if damping == SEARCH else check(f"{who}: damping", Number("[0, 1e6]"), damping)
        self.radius = check(f"{who}: radius", Number("(0, 1e6]") | None, radius)
        size = sum(variable.shape.num_elements() for variable in _values(network.trainable_variables))
        if size > MOST and rule != "gradient":
            raise ArgumentError(f"{who}: network must have at most {MOST:,} trainable weights; got {size:,}.")
        if radius is not None and (rule == "damped_newton" or damping == SEARCH):
            raise ArgumentError(
                f"{who}: radius must be None for rule 'damped_newton' and for damping 'search'; got {radius!r}."
            )
        self.network = network
        self.supports_jit = False  # XLA decomposes matrices slowly

    @property
    def parts(self):
        return {"network": self.network.trainable_variables}

    @property
    def reported(self):
        return ("accuracy",) if self.likelihood == "categorical" else ()

    def call(self, inputs, training=False):
        return self.network(inputs, training=training)

    def compile(self, *args, **kwargs):
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise UserError(f"{self.name}.compile: a matrix of the whole batch needs one replica; use --strategy none.")
        super().compile(*args, **kwargs)

    def compute_losses(self, batch, training, part=None):
        if not isinstance(batch, tuple) or len(batch) != 2:
            raise UserError(f"{self.name}: a batch must be (x, y), without weights.")
        outputs = self(batch[0], training=training)
        losses = {"network": ops.mean(self._losses_of(outputs, batch[1]))}
        if self.likelihood == "categorical":
            right = ops.equal(ops.argmax(outputs, -1), ops.cast(batch[1], "int64"))
            losses["accuracy"] = ops.mean(ops.cast(right, "float32"))
        return losses

    def preconditioned(self, gradients, batch, part):
        if self.rule == "gradient" and self.radius is None:
            return gradients
        each = zip(gradients, _values(part.variables), strict=True)
        gradient = curvature.flat([tf.zeros_like(value) if slope is None else slope for slope, value in each])
        if self.rule == "gradient":
            scale = tf.math.divide_no_nan(tf.cast(self.radius, gradient.dtype), tf.norm(gradient))
            return curvature.split(gradient * scale, part.variables)
        matrix = self._matrix(batch, part)
        dampings = DAMPINGS if self.damping == SEARCH else [self.damping]
        steps = directions(self.rule, gradient, matrix, dampings)
        step = self._best(steps, batch, part) if self.damping == SEARCH else steps[0]
        if self.radius is not None:  # g^T d = -d^T M d, with the damping as a part of M
            length = tf.sqrt(-tf.tensordot(gradient, step, 1))
            step *= tf.math.divide_no_nan(tf.cast(self.radius, step.dtype), length)
        return curvature.split(-step, part.variables)

    def get_config(self):
        settings = {name: getattr(self, name) for name in ("rule", "likelihood", "damping", "radius", "name")}
        return settings | {"network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"network": keras.saving.deserialize_keras_object(config["network"])})

    def _losses_of(self, outputs, targets):
        """(B,) negative log-likelihood of each example, without the constant of the normal distribution."""
        if self.likelihood == "normal":
            return ops.sum((outputs - ops.cast(targets, outputs.dtype)) ** 2, -1) / 2
        return tf.nn.sparse_softmax_cross_entropy_with_logits(ops.cast(targets, "int32"), outputs)

    def _matrix(self, batch, part):
        """(P, P) the matrix of the rule on a batch."""
        x, y = batch
        if self.rule == "natural_gradient":
            return curvature.fisher(lambda: self(x, training=True), part.variables, self.likelihood)
        if self.rule == "empirical_natural_gradient":
            examples = (x, ops.convert_to_tensor(y))

            def loss_of(example):
                alone = [tensor[None] for tensor in example]
                return self._losses_of(self(alone[0], training=True), alone[1])[0]

            return curvature.empirical_fisher(loss_of, examples, part.variables)
        return curvature.hessian(lambda: self._loss(batch, part, training=True), part.variables)

    def _loss(self, batch, part, training):
        return self.total_losses(batch, training, part.name)[part.name]

    def _best(self, steps, batch, part):
        """The step of (D, P) after which the loss of the batch is lowest; the weights are put back."""
        start, rate = curvature.flat(_values(part.variables)), ops.cast(part.optimizer.learning_rate, steps.dtype)
        losses = []
        for step in tf.unstack(steps):
            curvature.assign(part.variables, start + rate * step)
            losses.append(self._loss(batch, part, training=False))
        curvature.assign(part.variables, start)
        losses = tf.stack(losses)
        return steps[tf.argmin(tf.where(tf.math.is_finite(losses), losses, losses.dtype.max))]


def _values(variables):
    return [variable.value for variable in variables]
