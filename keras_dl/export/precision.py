"""A model that was trained in half precision is exported in full."""

from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import keras


def in_float32(model, run, compiled, *arguments):
    """The model with the same weights that computes in float32: half precision is for training's sake.

    Logits that it has rounded are seldom in the right order.

    Args:
        model: a trained model; where it computes in float32 it is returned itself.
        run: the runs.Run.
        compiled: compiled(*arguments) builds it anew.
    """
    if keras.config.dtype_policy().name == "float32":
        return model
    keras.config.set_dtype_policy("float32")
    with run.scope():
        exported = compiled(*arguments)
    exported.set_weights(model.get_weights())
    return exported
