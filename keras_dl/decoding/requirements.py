"""What must hold of tensors: refused at once where their values are known, and else by the graph when it runs."""

import tensorflow as tf


def require(condition, sentence, then):
    """Refuse unless a scalar condition holds.

    Args:
        condition: a bool, or a scalar bool tensor.
        sentence: what must hold, and who says so.
        then: a tensor.

    Returns:
        `then`; what is computed from it in a graph is computed after the assertion.

    Raises:
        ValueError: it does not hold, and that is known, as always outside of a graph. Within a graph whose values are
            not known yet, an assertion raises tf.errors.InvalidArgumentError when it runs.
    """
    known = tf.get_static_value(condition) if tf.is_tensor(condition) else condition
    if known is None:
        with tf.control_dependencies([tf.debugging.Assert(condition, [sentence.rstrip(".")])]):
            return tf.identity(then)
    if not known:
        raise ValueError(sentence)
    return then


def require_levels(who, values, levels, then):
    """Refuse values (...) that are not whole numbers from 0 to levels - 1; as `require`."""
    fits = (values >= 0) & (values <= tf.cast(levels - 1, values.dtype))
    if values.dtype.is_floating:
        fits &= tf.equal(values, tf.floor(values))
    return require(tf.reduce_all(fits), f"{who} must hold whole levels from 0 to {levels - 1}.", then)


def rows_of(who, context, rows, name=None):
    """B, the number of rows with which a model begins (protocol.Stepwise.begin).

    Args:
        who: for messages, such as "GatedPixelCNN.begin".
        context, rows: the arguments of `begin`.
        name: what the model's context is, such as "label"; None if it has none.

    Returns:
        B, a number where it is known, else a scalar tensor.

    Raises:
        ValueError: there is no context and the model has one, or the reverse, or the context has not `rows` rows
            (within a graph, an assertion where the numbers are not known), or both are None.
    """
    if (context is None) != (name is None):
        must = "None, since the model has none" if name is None else f"the model's {name}, one for each row"
        shape = None if context is None else tuple(tf.convert_to_tensor(context).shape)
        raise ValueError(f"{who}: context must be {must}; got {f'one of shape {shape}' if shape else context}.")
    if context is None:
        if rows is None:
            raise ValueError(f"{who}: rows must be a number, since there is no context; got None.")
        return rows
    context = tf.convert_to_tensor(context)
    if not context.shape.rank:
        raise ValueError(f"{who}: context must be the model's {name}, one for each row; got a single value.")
    own = context.shape[0] or tf.shape(context)[0]
    if rows is not None:
        of_both = [tf.get_static_value(x) if tf.is_tensor(x) else x for x in (own, rows)]
        sentence = f"{who}: context must have a row for each of the rows"
        if None not in of_both:
            return require(of_both[0] == of_both[1], f"{sentence}, {of_both[1]}; got {of_both[0]}.", own)
        return require(tf.equal(own, tf.cast(rows, tf.int32)), f"{sentence}.", own)
    return own
