"""Second derivatives of a model's loss on fixed data: Hessian-vector products, the whole Hessian, the Fisher matrix.

    loss = curvature.loss_on(model, x, y)                     # a function without arguments, at the model's weights
    curvature.hessian_vector_product(loss, model.trainable_variables, vector)
    curvature.hessian(loss, model.trainable_variables)        # P products: for some thousand weights at most

All trainable weights stand in one vector of P numbers, variable after variable, each in row-major order. Of each
example the network's output are logits, or the mean of a normal distribution of variance 1; the Fisher matrix is that
of this distribution. Everything works eagerly and in a graph; in a graph it is much faster.
Sources: Pearlmutter 1994 (products); Pascanu and Bengio (arXiv:1301.3584), section 3 (Fisher).
"""

import keras
import numpy as np
import tensorflow as tf


def flat(tensors):
    """Tensors as one vector (P,)."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)


def split(vector, variables):
    """A vector (P,) as a list of tensors of the variables' shapes."""
    sizes = [int(np.prod(variable.shape)) for variable in variables]
    parts = tf.split(tf.convert_to_tensor(vector), sizes)
    return [tf.reshape(part, variable.shape) for part, variable in zip(parts, variables, strict=True)]


def assign(variables, vector):
    """Set the variables to a vector (P,)."""
    for variable, value in zip(variables, split(vector, variables), strict=True):
        variable.assign(value)


def loss_on(model, x, y):
    """A function without arguments: the compiled loss of a Keras model, as evaluate computes it, on these examples."""
    return lambda: model.compute_loss(x, y, model(x, training=False), training=False)


def gradient(loss, variables):
    """(P,) gradient of loss() with respect to the variables; zeros for those that it does not depend on."""
    sources = _sources(variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        value = loss()
    return flat(tape.gradient(value, sources, unconnected_gradients="zero"))


def hessian_vector_product(loss, variables, vector):
    """(P,) H v, without H: the gradient of g^T v.

    Args:
        loss: a function without arguments -> scalar.
        variables: keras.Variables or tf.Variables.
        vector: (P,).
    """
    sources = _sources(variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        along = tf.tensordot(gradient(loss, variables), tf.convert_to_tensor(vector), 1)
    return flat(tape.gradient(along, sources, unconnected_gradients="zero"))


def hessian(loss, variables):
    """(P, P), symmetric: a Hessian-vector product for each column.

    tf.GradientTape.jacobian with parallel_iterations, which would also limit the memory, returns wrong numbers in
    TensorFlow 2.21 (a test compares with finite differences); without, it takes memory for all products at once.

    Args:
        loss: a function without arguments -> scalar.
        variables: keras.Variables or tf.Variables.
    """
    sources = _sources(variables)
    size = sum(int(np.prod(source.shape)) for source in sources)
    columns = tf.eye(size, dtype=sources[0].dtype)
    whole = tf.map_fn(lambda column: hessian_vector_product(loss, variables, column), columns, parallel_iterations=1)
    return (whole + tf.transpose(whole)) / 2  # they differ by rounding


def fisher(outputs, variables, likelihood="categorical"):
    """(P, P) true Fisher matrix of the mean over the examples: the expectation over the network's own distribution.

    It is the Hessian of KL(p || p_theta), p held fixed at the present weights: how much a small step changes the
    network as a function. No label enters. `empirical_fisher` is another matrix.

    Args:
        outputs: a function without arguments -> (N, K) logits ("categorical") or means ("normal").
        variables: keras.Variables or tf.Variables.
        likelihood: "categorical", or "normal" of variance 1.
    """
    present = tf.stop_gradient(outputs())

    def divergence():
        if likelihood == "normal":
            return tf.reduce_mean(tf.reduce_sum((outputs() - present) ** 2, -1)) / 2
        shares = tf.nn.softmax(present)
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(shares, outputs()))  # the entropy is constant

    return hessian(divergence, variables)


def empirical_fisher(loss_of, examples, variables):
    """(P, P) mean of g_i g_i^T over the examples, g_i the gradient of example i with its own label.

    It is not the Fisher matrix, though it is often taken for it: the labels are those of the data, not the network's.

    Args:
        loss_of: loss_of(example) -> scalar, of one row of each tensor of `examples`.
        examples: a structure of tensors (N, ...).
        variables: keras.Variables or tf.Variables.
    """
    each = tf.map_fn(
        lambda example: gradient(lambda: loss_of(example), variables), examples,
        fn_output_signature=_sources(variables)[0].dtype, parallel_iterations=1,
    )  # fmt: skip
    # each: (N, P)
    return tf.matmul(each, each, transpose_a=True) / tf.cast(tf.shape(each)[0], each.dtype)


def _sources(variables):
    """The tf.Variables behind Keras' variables."""
    return [variable.value if isinstance(variable, keras.Variable) else variable for variable in variables]
