"""A model that was trained in half precision is exported in float32."""

from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import keras


def in_float32(model, run, compiled, *arguments):
    """A model with the same weights that computes in float32: half precision is for training only.

    Logits rounded to half precision are seldom in the right order.

    Args:
        model: a trained model; it is returned itself if it computes in float32.
        run: the runs.Run, in whose scope the new model is built.
        compiled: compiled(*arguments) builds the model again.
    """
    if keras.config.dtype_policy().name == "float32":
        return model
    keras.config.set_dtype_policy("float32")
    with run.scope():
        exported = compiled(*arguments)
    exported.set_weights(model.get_weights())
    return exported
