"""The time of a training step: ours, PyTorch's and that of plain Keras' `fit`, measured in turn on one machine.

    python benchmarks/step_time.py convnet --json FILE

Every contender trains the same network (its count of weights is checked) with SGD, for images with momentum 0.9 on the
cross-entropy, and computes the running loss and nothing else; float32, the same batch size, 2 threads.
- ours: the graph of steps that training.fit runs, with as many steps a call as fit itself chooses on this machine, over
  a data.batches pipeline that gathers, casts and standardises (its cost is part of the figure).
- torch: eager, as its users write it: images in memory, a random batch by index, cast, standardise, forward, backward,
  step; zero_grad with set_to_none. torch_channels_last: the same in its faster layout, for networks of convolutions.
- keras: the stock layers, compile and fit with their defaults on float32 NumPy arrays (no progress bar), in calls of
  about half a second and at least 8 steps. It is timed twice: the whole call, as its user waits for it, with the
  conversion of arrays to tensors and tf.data's wait when an iterator is deleted (ratio_to_keras); and from fit's
  on_train_begin to its on_train_end, without these two (ratio_to_keras_inside).
step_time_recurrent.py has the recurrent rows (lstm, gru, rnn) and those that generate (lstm_generation,
lm_generation), step_time_translation.py those that translate (transformer, attention_gru), step_time_images.py those
of generative models of images (vae, dcgan, gated_pixelcnn).

Each contender is a process that runs during the whole measurement; they run blocks of 0.3-0.6 s in turn, A B C D A B C
D ... A block in which other processes took more than 20 % of the processor's time does not count. A ratio is the median
of our times divided by that of the peer's, over the rounds in which both blocks count, with a 95 % bootstrap interval.

share_of_peak: the floating-point operations a second of our step (operations.py counts them), divided by those of a
1,500 x 1,500 float32 product in TensorFlow with as many threads. Blocks of such products run in turn with the others.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import operations

from keras_dl import command_line, imports, models, runs
from keras_dl.errors import UserError
from keras_dl.features.image import Preprocess

THREADS = 2
ROUNDS = 30  # that must count
MOST = 3  # after so many times ROUNDS the measurement is given up
BLOCK = 0.45  # seconds
FIT_STEPS = 8  # at least so many in a call of plain Keras' fit: its fixed costs are an epoch's, not a step's
FOREIGN = 0.2  # largest share of the processor's time that others may have in a clean block
RATE, MOMENTUM = 0.01, 0.9
SEED = 0


@dataclasses.dataclass(frozen=True)
class Network:
    """A row of the table: our builder with its arguments, and how many images there are."""

    architecture: str
    input_shape: tuple
    batch_size: int
    images: int
    arguments: dict = dataclasses.field(default_factory=dict)

    def build(self):
        return getattr(models, f"build_{self.architecture}")(self.input_shape, 10, **self.arguments)

    def data(self):
        """(uint8 images (N, H, W, C), int32 labels (N,)), random: a step's time does not depend on the pixels."""
        rng = np.random.default_rng(SEED)
        pixels = rng.integers(0, 256, (self.images, *self.input_shape), np.uint8)
        return pixels, rng.integers(0, 10, self.images).astype(np.int32)

    def operations(self):
        """Of a training step."""
        count = {"resnet": operations.resnet34}.get(self.architecture) or getattr(operations, self.architecture)
        return count(self.batch_size)

    @property
    def contenders(self):
        flat = self.architecture in ("linear", "mlp")
        return ("ours", "torch", "keras") if flat else ("ours", "torch", "torch_channels_last", "keras")


NETWORKS = {
    "linear": Network("linear", (28, 28, 1), 128, 60_000),
    "mlp": Network("mlp", (28, 28, 1), 128, 60_000),
    "convnet": Network("convnet", (28, 28, 1), 128, 60_000),
    "resnet20": Network("resnet_cifar", (32, 32, 3), 128, 50_000, {"depth": 20}),
    "resnet34": Network("resnet", (64, 64, 3), 32, 10_000, {"depth": 34}),
}
RECURRENT = {  # row -> contenders, which are in step_time_recurrent.py
    "lstm": ("ours", "torch", "torch_batch_first", "keras"),
    "gru": ("ours", "torch", "torch_batch_first", "keras"),
    "rnn": ("ours", "torch", "torch_batch_first", "keras"),
    "lstm_generation": ("ours", "torch"),
    "lm_generation": ("ours", "torch"),
}
TRANSLATION = {  # row -> contenders, which are in step_time_translation.py
    "transformer": (
        "ours", "torch", "torch_batch_first", "torch_same_dropout", "torch_same_dropout_batch_first", "keras",
    ),
    "attention_gru": ("ours", "torch", "torch_batch_first"),
}  # fmt: skip
IMAGES = {  # row -> contenders, which are in step_time_images.py
    "vae": ("ours", "torch", "torch_fused", "torch_compiled"),
    "dcgan": ("ours", "torch", "torch_new_noise", "torch_channels_last", "torch_compiled"),
    "gated_pixelcnn": ("ours", "torch", "torch_channels_last", "torch_compiled"),
}
SOUND = {"wavenet": ("ours", "torch", "torch_fused", "torch_compiled")}  # contenders, in step_time_sound.py
OTHERS = {
    "step_time_recurrent.py": RECURRENT, "step_time_translation.py": TRANSLATION, "step_time_images.py": IMAGES,
    "step_time_sound.py": SOUND,
}  # fmt: skip


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("network", choices=[*NETWORKS, *RECURRENT, *TRANSLATION, *IMAGES, *SOUND])
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="two rounds whatever the load: does everything run?")
    asked = parser.parse_args(argv)
    result = measure(asked.network, asked.smoke)
    print_result(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))


def measure(name, smoke=False):
    """{"metrics": ratios and the share of the peak, "details": milliseconds a step and what was run} of one network."""
    file, rows = next(((file, rows) for file, rows in OTHERS.items() if name in rows), (__file__, {}))
    contenders = rows.get(name) or NETWORKS[name].contenders
    script = Path(__file__).with_name(Path(file).name)
    warn_of_load()
    with contextlib.ExitStack() as stack:
        workers = {who: stack.enter_context(Worker(script, who, name)) for who in contenders}
        counts = {who: worker.ready["parameters"] for who, worker in workers.items()}
        workers["product"] = stack.enter_context(Worker(__file__, "product", name))
        if len(set(counts.values())) > 1:
            raise UserError(f"step_time: every contender must have the same weights; got {counts}.")
        blocks = interleave(workers, [("ours", who) for who in workers if who != "ours"], smoke)
        lengths = {who: worker.steps for who, worker in workers.items()}
        ready = {who: worker.ready for who, worker in workers.items()}
    metrics, details = {}, {"parameters": counts["ours"], "threads": THREADS, "steps_per_block": lengths}
    details["steps_per_execution"] = ready["ours"]["unit"]
    details |= ready["torch"].get("details", {}) | ready["ours"].get("details", {})
    details |= {f"{who}_ms": quartiles(1000 * blocks[who]["seconds"][blocks[who]["clean"]]) for who in blocks}
    best = min((who for who in blocks if who.startswith("torch")), key=lambda who: details[f"{who}_ms"][1])
    for peer, of in (("torch", "torch"), ("torch_best", best), ("keras", "keras")):
        if of in blocks:
            metrics[f"ratio_to_{peer}"] = ratio(blocks["ours"], blocks[of])
    if "keras" in blocks:
        inside = {**blocks["keras"], "seconds": blocks["keras"]["inside"]}
        metrics["ratio_to_keras_inside"] = ratio(blocks["ours"], inside)
        details["keras_inside_ms"] = quartiles(1000 * inside["seconds"][inside["clean"]])
    metrics["share_of_peak"] = share_of_peak(ready["ours"]["operations"], blocks["ours"], blocks["product"])
    details["operations"] = ready["ours"]["operations"]
    details |= {"torch_best": best, "torch": ready["torch"]["torch"], **shares(blocks)}
    return {"metrics": metrics, "details": details}


# The measuring side: worker processes, their turns, and what other processes did meanwhile.


class Worker:
    """A process with one contender, which runs blocks of steps on request."""

    def __init__(self, script, *words):
        self.words = [sys.executable, str(script), "--worker", *words]

    def __enter__(self):
        threads = {"TF_NUM_INTRAOP_THREADS": str(THREADS), "TF_NUM_INTEROP_THREADS": str(THREADS)}
        self.process = subprocess.Popen(
            self.words, env=os.environ | threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self._answer()
        self.steps = self._block_length()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # its loop ends
        self.process.wait()

    def block(self, method="run", *arguments):
        """The contender's answer, with `foreign`: the share of the processor's time that went to other processes."""
        busy, began = _busy(), time.monotonic()
        self.process.stdin.write(json.dumps([method, *(arguments or [self.steps])]) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        capacity = (time.monotonic() - began) * os.cpu_count()
        return answer | {"foreign": max(0.0, _busy() - busy - answer["cpu"]) / capacity}

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{' '.join(self.words[3:])} ended with {self.process.wait()}; what it said stands above."
            )
        answer = json.loads(line)
        if "mistake" in answer:
            raise UserError(answer["mistake"])
        return answer

    def _block_length(self):
        """Steps that fill a block: whole units of the contender, between its least and its most."""
        unit, most = self.ready["unit"], self.ready["most"]
        length = max(unit, self.ready["least"])
        self.block("run", length)  # warm-up
        while True:
            answer = self.block("run", length)
            seconds = answer.get("inside", answer["seconds"])  # a call's fixed costs must not make it short
            if seconds > BLOCK / 2 or length >= most:
                break
            length = min(most, unit * math.ceil(length * min(8, BLOCK / seconds) / unit))
        units = max(1, round(BLOCK * length / seconds / unit))
        return min(max(units * unit, self.ready["least"]), most)


def interleave(workers, pairs, smoke=False, rounds=ROUNDS):
    """Run blocks of every worker in turn, until each pair has `rounds` rounds in which both blocks were undisturbed.

    Args:
        workers: {name: Worker}, in the order of their turns.
        pairs: [(name, name)] that will be compared.
        smoke: two rounds, which count however busy the machine is.
        rounds: how many; after MOST times as many, the measurement is given up.

    Returns:
        {name: {"seconds": (R,) a step, "clean": (R,) bool, "foreign": (R,), and whatever else a block reports}}.
    """
    rows = {who: [] for who in workers}
    for number in range(1, 3 if smoke else MOST * rounds + 1):
        for who, worker in workers.items():
            row = worker.block()
            rows[who].append(row | {"clean": smoke or row["foreign"] <= FOREIGN})
            time.sleep(0.02)  # until the threads of one contender have stopped waiting for work
        done = [sum(a["clean"] and b["clean"] for a, b in zip(rows[x], rows[y], strict=True)) for x, y in pairs]
        if min(done) >= rounds:
            break
        if number % 10 == 0:
            print(f"round {number}: {min(done)} of {rounds} clean", flush=True)
    else:
        if not smoke:
            load = np.mean([row["foreign"] for who in rows for row in rows[who]])
            raise UserError(
                f"a measurement needs {rounds} rounds without other work on this machine; got {min(done)} of "
                f"{MOST * rounds}: other processes took {load:.0%} of the processor. Stop them and measure again."
            )
    return {
        who: {key: np.array([row[key] for row in rows[who]]) for key in rows[who][0] if key != "cpu"}
        | {"seconds": np.array([row["seconds"] for row in rows[who]]) / worker.steps}
        | {key: np.array([row[key] for row in rows[who]]) / worker.steps for key in ("inside",) if key in rows[who][0]}
        for who, worker in workers.items()
    }


def warn_of_load(seconds=1.0):
    """Warn, before minutes are spent, when other processes use the machine."""
    busy, cpu = _busy(), time.process_time()
    time.sleep(seconds)
    foreign = (_busy() - busy - (time.process_time() - cpu)) / (seconds * os.cpu_count())
    if foreign > FOREIGN:
        print(
            f"warning: other processes take {foreign:.0%} of the processor (load {os.getloadavg()[0]:.1f}); "
            "blocks that they disturb do not count.",
            file=sys.stderr,
        )


def ratio(ours, theirs):
    """Median time of ours divided by that of theirs, with the 2.5 and 97.5 % points of a bootstrap over the rounds."""
    both = ours["clean"] & theirs["clean"]
    a, b = ours["seconds"][both], theirs["seconds"][both]
    draws = np.random.default_rng(SEED).integers(0, len(a), (2000, len(a)))
    spread = np.percentile(np.median(a[draws], 1) / np.median(b[draws], 1), [2.5, 97.5])
    return {"value": float(np.median(a) / np.median(b)), "spread": spread.tolist()}


def share_of_peak(count, ours, product):
    """Operations a second of our step, of which one has `count`, over those of the product, with its interval."""
    times = ratio(product, ours)
    share = count / operations.PEAK_OPERATIONS
    return {"value": share * times["value"], "spread": [share * end for end in times["spread"]]}


def quartiles(values):
    """[25 %, median, 75 %]"""
    return np.percentile(values, [25, 50, 75]).tolist()


def shares(blocks):
    """By contender: how many blocks count, and the mean share of other processes' work in these."""
    return {
        "clean_blocks": {who: f"{int(b['clean'].sum())} of {len(b['clean'])}" for who, b in blocks.items()},
        "foreign_share": {who: round(float(b["foreign"][b["clean"]].mean()), 3) for who, b in blocks.items()},
    }


def print_result(result):
    for name, metric in result["metrics"].items():
        print(f"{name} {metric['value']:.4g} [{metric['spread'][0]:.4g}, {metric['spread'][1]:.4g}]")
    for name, value in result["details"].items():
        print(f"  {name}: {[float(f'{v:.4g}') for v in value] if isinstance(value, list) else value}")


def _busy():
    """Seconds of the processor, over all cores, in which anything ran, a hypervisor's other guests included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


# The contenders.


def serve(make):
    """Run as a worker: create the contender, report that it is ready, and run requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not mix with the answers

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        contender = make()
    except UserError as mistake:
        answer({"mistake": str(mistake)})
        return
    answer({"unit": 1, "least": 1, "most": 1_000_000} | contender.about)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        cpu, began = time.process_time(), time.perf_counter()
        said = getattr(contender, method)(*arguments) or {}
        seconds = time.perf_counter() - began
        answer({"seconds": seconds, "cpu": time.process_time() - cpu} | said)


class Ours:
    """The graph of training.fit over a pipeline of data.batches, block by block as fit calls it."""

    def __init__(self, model, examples, batch_size, collate, augment=None, shuffle=True):

        from keras_dl import data, training

        def batches(part):
            return data.batches(part, batch_size, collate=collate, seed=SEED, shuffle=shuffle, augment=augment)

        with tempfile.TemporaryDirectory(prefix="keras_dl-step-") as folder:
            run = runs.Run(path=Path(folder) / "run", root=Path(folder), name="step", app="step_time", seed=SEED)
            few = batches(examples.take(slice((training.TIMED + 2) * batch_size)))
            training.fit(model, few, None, run, epochs=1, keep="last", verbose=0)  # it times steps and notes the block
            self.block = json.loads((run.path / "config.json").read_text())["execution"]["steps_per_execution"]
        self.iterator = iter(batches(examples).dataset(epochs=None))
        self.steps = training.Steps(model, model.train_step, self.iterator)
        self.about = {"unit": self.block, "parameters": trainable(model)}

    @classmethod
    def of(cls, network):
        with imports.quiet_tensorflow():
            import keras

            from keras_dl import data, optimizers
            from keras_dl.data import images
        keras.utils.set_random_seed(SEED)
        pixels, labels = network.data()
        model = network.build()
        model.compile(
            optimizer=optimizers.build("momentum", RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        preprocess = Preprocess.of(pixels[:1024], network.input_shape)
        examples = data.Examples({"image": pixels, "label": labels})
        ours = cls(model, examples, network.batch_size, images.with_labels(preprocess))
        ours.about["operations"] = network.operations()
        return ours

    def run(self, steps):
        for _ in range(steps // self.block):
            self.steps(self.iterator, self.block)
            if self.steps.diverged is not None:
                raise RuntimeError("the loss is no longer finite")


class Product:
    """A float32 matrix product that is large enough to reach what the processor can do; a step is one product."""

    def __init__(self):
        with imports.quiet_tensorflow():
            import tensorflow as tf
        side = (operations.PEAK_SIDE, operations.PEAK_SIDE)
        one, other = (tf.random.stateless_normal(side, [SEED, k]) for k in (0, 1))
        multiply = tf.function(lambda: tf.linalg.matmul(one, other)[0, 0], autograph=False)
        self.multiply = multiply.get_concrete_function()
        self.about = {}

    def run(self, steps):
        for _ in range(steps):
            self.multiply().numpy()


class PlainKeras:
    """Stock layers, compile and fit with their defaults, on arrays."""

    def __init__(self, model, x, y, batch_size):
        import keras

        self.model, self.x, self.y, self.batch_size, self.inside = model, x, y, batch_size, 0.0
        # Called once and once an epoch: the steps between cost what they cost without it.
        self.clock = keras.callbacks.LambdaCallback(on_train_begin=self._begin, on_train_end=self._end)
        self.about = {"parameters": trainable(model), "least": FIT_STEPS, "most": len(y) // batch_size}

    @classmethod
    def of(cls, network):
        with imports.quiet_tensorflow():
            import keras
        keras.utils.set_random_seed(SEED)
        pixels, labels = network.data()
        model = stock(network)
        model.compile(
            optimizer=keras.optimizers.SGD(RATE, MOMENTUM),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return cls(model, (pixels.astype(np.float32) - 127.5) / 73.9, labels, network.batch_size)

    def run(self, steps):
        import keras

        x, y = keras.tree.map_structure(lambda array: array[: steps * self.batch_size], (self.x, self.y))
        self.model.fit(x, y, batch_size=self.batch_size, verbose=0, callbacks=[self.clock])
        return {"inside": self.inside}

    def _begin(self, logs):
        self.inside = -time.perf_counter()

    def _end(self, logs):
        self.inside += time.perf_counter()


class Torch:
    """PyTorch eager, in one of its two layouts."""

    def __init__(self, network, name, channels_last):
        self.torch, peers_torch = import_torch()
        torch = self.torch
        pixels, labels = network.data()
        self.images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))  # (N, C, H, W)
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = peers_torch.build(name).to(memory_format=self.layout)
        self.optimizer = torch.optim.SGD(self.model.parameters(), RATE, MOMENTUM)
        self.order = random_batches(len(labels), network.batch_size)
        self.about = {"parameters": sum(p.numel() for p in self.model.parameters()), "torch": torch.__version__}

    def run(self, steps):
        torch, total = self.torch, 0.0
        self.model.train()
        for _ in range(steps):
            chosen = next(self.order)
            x = self.images[chosen].to(torch.float32, memory_format=self.layout).sub_(127.5).div_(73.9)
            self.optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(self.model(x), self.labels[chosen])
            loss.backward()
            self.optimizer.step()
            total += loss.item()


def random_batches(count, batch_size):
    """Indices of random batches without end; every example once an epoch."""
    import torch

    while True:
        yield from torch.randperm(count).split(batch_size)


def import_torch():
    """(torch, peers_torch), with the threads and the seed of this benchmark."""
    try:
        import peers_torch
        import torch
    except ImportError:
        raise UserError("step_time: PyTorch must be installed; python -m pip install -e '.[bench]'.") from None
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    return torch, peers_torch


def stock(network):
    """Our network with Keras' own batch normalisation in place of ours, with the same settings."""
    import keras

    from keras_dl.layers.normalization import BatchNormalization

    def keras_own(layer):
        kind = keras.layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(network.build(), clone_function=keras_own)


def trainable(model):
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _contender(who, name):
    if who == "product":
        return Product()
    network = NETWORKS[name]
    if who == "ours":
        return Ours.of(network)
    if who == "keras":
        return PlainKeras.of(network)
    return Torch(network, name, channels_last=who == "torch_channels_last")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        serve(lambda: _contender(*sys.argv[2:]))
    else:
        command_line.run(main)
