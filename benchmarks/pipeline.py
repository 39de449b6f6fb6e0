"""Does training ever wait for the input pipeline? Its images a second, the wait between two epochs, LeNet-5's need.

    python benchmarks/pipeline.py mnist --json FILE

The pipeline is data.batches over the training split, batch 128, shuffled, read inside a graph as training.fit reads
it. Its blocks run in turn with those of a LeNet-5 in training (step_time's "ours", over the same pipeline) on one
machine; ratio_to_convnet is the images a second of the pipeline alone, divided by those of the training. The wait at an
epoch's end is the longest of 8 times between the last batch of an epoch and the first of the next; the iterator is read
as fast as possible, so that no batch is ready in advance.
"""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

from step_time import (
    FOREIGN,
    RATE,
    SEED,
    Ours,
    Worker,
    interleave,
    print_result,
    quartiles,
    ratio,
    serve,
    shares,
    warn_of_load,
)

from keras_dl import command_line, imports
from keras_dl.errors import UserError

DATA = {"mnist": ("mnist", "none"), "cifar10_augmented": ("cifar10", "crop_flip")}  # row -> data set, augmentation
BATCH_SIZE = 128
BOUNDARIES = 8
TRIES = 5  # to see these boundaries without foreign work


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="two rounds whatever the load: does everything run?")
    asked = parser.parse_args(argv)
    result = measure(asked.data, asked.smoke)
    print_result(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))


def measure(name, smoke=False):
    """{"metrics": images_per_second, epoch_wait_ms and ratio_to_convnet, "details"} of one row."""
    warn_of_load()
    with contextlib.ExitStack() as stack:
        workers = {who: stack.enter_context(Worker(__file__, who, name)) for who in ("pipeline", "convnet")}
        blocks = interleave(workers, [("pipeline", "convnet")], smoke)
        waits = _waits(workers["pipeline"], smoke)
    seconds = {who: quartiles(b["seconds"][b["clean"]]) for who, b in blocks.items()}  # a batch
    slow, middle, fast = (BATCH_SIZE / s for s in reversed(seconds["pipeline"]))
    metrics = {
        "images_per_second": {"value": middle, "spread": [slow, fast]},
        "epoch_wait_ms": {"value": max(waits), "spread": [min(waits), max(waits)]},
        "ratio_to_convnet": ratio(blocks["convnet"], blocks["pipeline"]),
    }
    details = {f"{who}_ms": [1000 * s for s in seconds[who]] for who in seconds}
    return {"metrics": metrics, "details": details | {"epoch_waits_ms": waits, **shares(blocks)}}


def _waits(worker, smoke):
    for _ in range(1 if smoke else TRIES):
        answer = worker.block("waits", BOUNDARIES)
        if smoke or answer["foreign"] <= FOREIGN:
            return answer["waits"]
    raise UserError(
        f"pipeline: the epochs' ends must be seen without other work on this machine; got {answer['foreign']:.0%} of "
        f"the processor in other processes, {TRIES} times."
    )


class Pipeline:
    """data.batches, read without using what is read."""

    def __init__(self, batches):
        import tensorflow as tf

        self.batches, self.iterator = batches, iter(batches.dataset(epochs=None))
        self.about = {}

        @tf.function(autograph=False)
        def read(iterator, count):
            def body(i, total):
                image, _ = next(iterator)
                return i + 1, total + tf.size(image)

            return tf.while_loop(lambda i, _: i < count, body, (0, 0), parallel_iterations=1)[1]

        self.read, self.number = read, tf.constant

    def run(self, steps):
        int(self.read(self.iterator, self.number(steps)))

    def waits(self, boundaries):
        """Milliseconds between the last batch of an epoch and the first of the next."""
        count, iterator = self.batches.steps(), iter(self.batches.dataset(epochs=None))
        waits = []
        for _ in range(boundaries + 1):
            began = time.perf_counter()
            next(iterator)
            waits.append(1000 * (time.perf_counter() - began))
            for _ in range(count - 1):
                next(iterator)
        return {"waits": waits[1:]}  # the first is the pipeline's start


def _contender(who, name):
    with imports.quiet_tensorflow():
        import keras

        from keras_dl import data, models, optimizers
        from keras_dl.data import images
    keras.utils.set_random_seed(SEED)
    dataset, augment = DATA[name]
    splits = images.load(dataset, SEED)
    augment = images.augmentation(augment, splits.info, splits.preprocess)
    collate = images.with_labels(splits.preprocess)
    if who == "pipeline":
        return Pipeline(
            data.batches(splits.train, BATCH_SIZE, collate=collate, seed=SEED, shuffle=True, augment=augment)
        )
    model = models.build_convnet(splits.preprocess.input_shape, splits.info.num_classes)
    model.compile(
        optimizer=optimizers.build("momentum", RATE), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return Ours(model, splits.train, BATCH_SIZE, collate, augment)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        serve(lambda: _contender(*sys.argv[2:]))
    else:
        command_line.run(main)
