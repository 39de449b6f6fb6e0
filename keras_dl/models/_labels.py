"""How a network sees the class of a picture."""

import keras


def embedded_label(num_classes, width, name):
    """(the input "label", its embedding (B, width)): how a network sees the class."""
    label = keras.Input((), name="label", dtype="int32")
    embedding = keras.layers.Embedding(num_classes, width, embeddings_initializer="normal", name=name)
    return label, embedding(label)
