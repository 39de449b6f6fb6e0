"""The speed at which a gated PixelCNN draws images: with what it keeps between pixels, and without.

    python benchmarks/sampling_speed.py gated_pixelcnn_b16 --json FILE

Every contender draws the same number of binary 28 x 28 images with the same weights, the network of the table
binarized_mnist, and the same noise, which depends only on the seed and the pixel's place; float32, 2 threads. The
weights are drawn anew, not trained: no operation depends on what they are.
- ours: decoding.pixels.sample in one call of one graph, as in the export: for each of the 784 pixels, only what is new.
- naive: in one call of one graph too, for each of the 784 pixels the whole network on the images so far; of its output
  the parameters of the one pixel are used.
Their images are compared before they are timed. The contenders run in turn, and rounds and ratios are computed, as in
step_time.py; a block is at least one whole draw.
"""

import argparse
import contextlib
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
from step_time import (
    SEED,
    THREADS,
    Worker,
    interleave,
    print_result,
    quartiles,
    ratio,
    serve,
    shares,
    trainable,
    warn_of_load,
)  # fmt: skip
from tables_images import GATED

from keras_dl import imports
from keras_dl.errors import UserError

CONTENDERS = ("ours", "naive")
EQUAL = 0.9  # share of the images that must be equal: rounding may move a probability across its noise


@dataclasses.dataclass(frozen=True)
class Draw:
    """A row of the table: how many images are drawn at once, and how many rounds are measured."""

    batch_size: int
    rounds: int
    side: int = 28
    arguments: dict = dataclasses.field(default_factory=lambda: GATED)

    def build(self):
        import keras

        from keras_dl import models

        keras.utils.set_random_seed(SEED)
        return models.build_gated_pixelcnn((self.side, self.side, 1), 2, output="bernoulli", **self.arguments)


ROWS = {"gated_pixelcnn_b1": Draw(1, 20), "gated_pixelcnn_b16": Draw(16, 20), "gated_pixelcnn_b64": Draw(64, 4)}
SMOKE = {"side": 6, "arguments": {"num_layers": 2, "filters": 4, "top_filters": (4,)}}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("row", choices=list(ROWS))
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="two rounds over little, whatever the load: does it run?")
    asked = parser.parse_args(argv)
    result = measure(asked.row, asked.smoke)
    print_result(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))


def measure(name, smoke=False):
    """{"metrics": the ratio, "details": milliseconds of a whole draw and what was run}."""
    row, words = _row(name, smoke), ("smoke",) if smoke else ()
    warn_of_load()
    with contextlib.ExitStack() as stack:
        workers = {who: stack.enter_context(Worker(__file__, who, name, *words)) for who in CONTENDERS}
        equal = compare({who: worker.block("draw") for who, worker in workers.items()})
        blocks = interleave(workers, [("ours", "naive")], smoke, row.rounds)
        parameters = workers["ours"].ready["parameters"]
    details = dataclasses.asdict(row) | {"parameters": parameters, "threads": THREADS, "equal_images": equal}
    details |= {f"{who}_ms": quartiles(1000 * blocks[who]["seconds"][blocks[who]["clean"]]) for who in blocks}
    return {"metrics": {"ratio_to_naive": ratio(blocks["ours"], blocks["naive"])}, "details": details | shares(blocks)}


def compare(drawn):
    """The share of the images that both contenders drew alike; refuse contenders whose images differ."""
    ours, naive = (np.array(drawn[who]["images"]) for who in CONTENDERS)
    if ours.shape != naive.shape or ours.min() == ours.max():
        raise UserError(f"sampling_speed: must draw the same number of images; got {ours.shape} and {naive.shape}.")
    share = float((ours == naive).all((1, 2, 3)).mean())
    if share < EQUAL:
        raise UserError(f"sampling_speed: both contenders must draw the same images; {share:.0%} of them are equal.")
    return share


class Sampler:
    """Draws images in one call of one graph.

    Args:
        row: a Draw.
        of: of(model, rows, seed) -> (images (B, H, W, 1), log-probabilities), as decoding.pixels.sample.
    """

    def __init__(self, row, of):
        import tensorflow as tf

        model = row.build()
        draw = tf.function(lambda seed: of(model, row.batch_size, seed)[0], autograph=False)
        self.sample = draw.get_concrete_function(tf.TensorSpec((), tf.int64))
        self.about = {"parameters": trainable(model)}

    def run(self, times):
        for _ in range(times):
            self._images()

    def draw(self, _):
        return {"images": self._images().tolist()}

    def _images(self):
        import tensorflow as tf

        return self.sample(tf.constant(SEED, tf.int64)).numpy()


def naive_sample(model, rows, seed):
    """As decoding.pixels.sample without a context, with the whole network on all images for every value."""
    import tensorflow as tf

    from keras_dl.decoding import SampleFrom

    height, width, channels = model.image_shape
    draw, count = SampleFrom(model.distribution, seed), height * width * channels

    def step(t, values, total):
        images = tf.reshape(tf.cast(values, tf.float32), [rows, height, width, channels])
        parameters = tf.reshape(model(images, training=False), [rows, count, -1])[:, t]
        new = draw(parameters, t)
        here = tf.equal(tf.range(count), t)
        total += draw.log_probability(parameters, new)
        return t + 1, tf.where(here, tf.cast(new, tf.int32)[:, None], values), total

    nothing = tf.zeros([rows, count], tf.int32), tf.zeros([rows])
    _, values, total = tf.while_loop(lambda t, *_: t < count, step, (0, *nothing), parallel_iterations=1)
    return tf.reshape(values, [rows, height, width, channels]), total


def _row(name, smoke):
    return dataclasses.replace(ROWS[name], **SMOKE) if smoke else ROWS[name]


def contender(who, name, smoke=False):
    """One of CONTENDERS."""
    with imports.quiet_tensorflow():
        from keras_dl.decoding import pixels
    return Sampler(_row(name, smoke), pixels.sample if who == "ours" else naive_sample)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        serve(lambda: contender(*sys.argv[2:4], smoke="smoke" in sys.argv[4:]))
    else:
        from keras_dl import command_line

        command_line.run(main)
