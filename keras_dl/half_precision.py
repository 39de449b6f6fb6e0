"""Whether half precision is worth while on this machine, measured before a training begins.

Some processors compute in bfloat16 or float16 by hardware, others convert every number to float32 and back. On the
latter, the gradients of convolutions in particular take many times as long, and a recipe that takes an hour elsewhere
takes a day. TensorFlow does not say so.
"""

import time

SLOWER = 2.0  # times as long as with float32, from which on it is said
REPEATS = 4
PICTURES, KERNEL = (8, 28, 28, 16), (3, 3, 16, 16)  # of the convolution that is timed
ROWS = 256  # of the matrices that are multiplied
OPERATIONS = {"convolution": "the gradients of a convolution take", "product": "the product of two matrices takes"}


def sentence(model, precision):
    """What to say before training with a Keras dtype policy; "" if it is float32 or not slower.

    Args:
        model: a keras.Model. Weights of three and more dimensions are taken for kernels of convolutions.
        precision: "float32", "mixed_bfloat16" or "mixed_float16".
    """
    if precision == "float32":
        return ""
    convolves = any(len(weight.shape) > 2 for weight in model.trainable_weights)
    operation = "convolution" if convolves else "product"
    times = ratio(operation, precision.removeprefix("mixed_"))
    if times < SLOWER:
        return ""
    return (
        f"--precision {precision}: on this machine, {OPERATIONS[operation]} {times:.0f} times "
        "as long as with float32; --precision float32 will be faster."
    )


def ratio(operation, dtype):
    """Time of one of OPERATIONS in `dtype`, "bfloat16" or "float16", divided by that in float32."""
    return _seconds(operation, dtype) / _seconds(operation, "float32")


def _seconds(operation, dtype):
    """The least of a few measured times: whatever else the machine does can only add to it."""
    import tensorflow as tf

    images, kernel, matrix = (tf.ones(shape, dtype) for shape in (PICTURES, KERNEL, (ROWS, ROWS)))

    @tf.function(autograph=False)
    def gradients(images, kernel):
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            maps = tf.nn.conv2d(images, kernel, 1, "SAME")
        return tape.gradient(maps, (images, kernel))

    def once():
        results = gradients(images, kernel) if operation == "convolution" else [tf.linalg.matmul(matrix, matrix)]
        return [result.numpy() for result in results]

    once()  # traces the graph
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    return min(times)
