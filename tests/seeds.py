"""A seed for Keras, NumPy and Python that leaves TensorFlow's kernels and functions ready to run."""

from unittest import mock


def reseed(seed):
    """keras.utils.set_random_seed, which also throws away all that is ready: to make it ready again takes seconds.

    What is ready does not depend on what ran before, but for unseeded operations of tf.random.
    """
    import keras
    from tensorflow.python.eager import context

    with mock.patch.object(context.pywrap_tfe, "TFE_ContextClearCaches", lambda handle: None):
        keras.utils.set_random_seed(seed)
