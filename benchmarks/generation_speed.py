"""The speed at which a WaveNet generates sound: with what its layers keep, without, and in PyTorch.

    python benchmarks/generation_speed.py wavenet --json FILE

One block of dilations, 1 to 512, 32 filters and 64 of the skips, mu-law's 256 levels, one sequence, float32, 2 threads.
The weights are drawn anew, not trained: no operation depends on what they are. A step is a sample.
- ours: decoding.generate in one call of one graph, as in an export; each layer keeps the inputs that it still needs.
- naive: in one call of one graph too, for each sample the whole network on the samples of its receptive field.
- torch: eager, without gradients, with the same queues, each a ring of a layer's last inputs (peers_torch_sound.py).
Ours and naive go on from the same sound, as long as the receptive field, which ours reads within the time that is
measured; PyTorch's loop needs none, since its steps cost the same. Ours and naive draw with the same noise, and what
they draw is compared before they are timed; tests/test_benchmarks_sound.py compares PyTorch's network with ours.
Rounds and ratios are computed as in step_time.py.
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
    import_torch,
    interleave,
    print_result,
    quartiles,
    ratio,
    serve,
    shares,
    trainable,
    warn_of_load,
)  # fmt: skip

from keras_dl import imports
from keras_dl.errors import UserError

CONTENDERS = ("ours", "naive", "torch")
ROUNDS = 30


@dataclasses.dataclass(frozen=True)
class Generation:
    """A row of the table: a network, and how many samples are generated in a call."""

    dilations: tuple = tuple(2**n for n in range(10))
    filters: int = 32
    skip_filters: int = 64
    levels: int = 256
    batch_size: int = 1
    length: int = 256

    @property
    def network(self):
        return {name: getattr(self, name) for name in ("levels", "dilations", "filters", "skip_filters")}

    def build(self):
        import keras

        from keras_dl import models

        keras.utils.set_random_seed(SEED)
        return models.build_wavenet(num_blocks=1, **self.network)


ROWS = {"wavenet": Generation()}
SMOKE = {"dilations": (1, 2, 4), "filters": 4, "skip_filters": 6, "length": 8}


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
    """{"metrics": the ratios, "details": milliseconds a sample and what was run}."""
    row, words = _row(name, smoke), ("smoke",) if smoke else ()
    warn_of_load()
    with contextlib.ExitStack() as stack:
        workers = {who: stack.enter_context(Worker(__file__, who, name, *words)) for who in CONTENDERS}
        compare(*(workers[who].block("drawn")["levels"] for who in ("ours", "naive")))
        counts = {who: worker.ready["parameters"] for who, worker in workers.items()}
        if len(set(counts.values())) > 1:
            raise UserError(f"generation_speed: every contender must have the same weights; got {counts}.")
        blocks = interleave(workers, [("ours", "naive"), ("ours", "torch")], smoke, ROUNDS)
        ready = {who: worker.ready for who, worker in workers.items()}
    details = dataclasses.asdict(row) | {"parameters": counts["ours"], "threads": THREADS}
    details |= {"receptive_field": ready["ours"]["receptive_field"], "torch": ready["torch"]["torch"]}
    details |= {f"{who}_ms": quartiles(1000 * blocks[who]["seconds"][blocks[who]["clean"]]) for who in blocks}
    metrics = {f"ratio_to_{peer}": ratio(blocks["ours"], blocks[peer]) for peer in ("naive", "torch")}
    return {"metrics": metrics, "details": details | shares(blocks)}


def compare(ours, naive):
    """Refuse contenders that draw different sounds: the noise is the same."""
    ours, naive = np.array(ours), np.array(naive)
    if ours.shape != naive.shape or ours.min() == ours.max() or not (ours == naive).all():
        raise UserError("generation_speed: ours and naive must draw the same sound, which is not constant.")


class Generator:
    """Generates `length` samples in one call of one graph; a unit of steps is one call.

    Args:
        row: a Generation.
        of: of(model, prime (B, field), length, draw) -> levels (B, length).
    """

    def __init__(self, row, of):
        import tensorflow as tf

        self.row, model = row, row.build()

        def generate(seed):
            return of(model, prime_of(row, model.receptive_field), row.length, model.draw(seed))

        self.generate = tf.function(generate, autograph=False).get_concrete_function(tf.TensorSpec((), tf.int64))
        self.about = {"parameters": trainable(model), "receptive_field": model.receptive_field}
        self.about |= {"unit": row.length, "least": row.length}

    def run(self, steps):
        for _ in range(steps // self.row.length):
            self._levels()

    def drawn(self, _):
        return {"levels": self._levels().tolist()}

    def _levels(self):
        import tensorflow as tf

        return self.generate(tf.constant(SEED, tf.int64)).numpy()


def prime_of(row, field):
    """(B, field) levels that the sound continues, so that every sample has a whole field before it."""
    import tensorflow as tf

    rng = np.random.default_rng(SEED)
    return tf.constant(rng.integers(0, row.levels, (row.batch_size, field)), tf.int32)


def cached(model, prime, length, draw):
    """The prime is read at once, then decoding.generate."""
    from keras_dl import decoding

    memory, state = model.begin(rows=prime.shape[0])
    _, state = model.read(prime[:, :-1], state, memory)
    return decoding.generate(decoding.step_function(model, memory), state, prime[:, -1], length, draw)[0]


def naive(model, prime, length, draw):
    """The same, with the whole network on the samples of its receptive field for every sample."""
    import tensorflow as tf

    field = prime.shape[1]

    def step(t, written):
        parameters = model(written[:, t : t + field], training=False)[:, -1]
        here = tf.equal(tf.range(field + length), field + t)
        return t + 1, tf.where(here, draw(parameters, t)[:, None], written)

    written = tf.concat([prime, tf.zeros([prime.shape[0], length], tf.int32)], 1)
    return tf.while_loop(lambda t, _: t < length, step, (0, written), parallel_iterations=1)[1][:, field:]


class TorchGenerator:
    """PyTorch's loop."""

    def __init__(self, row):
        self.torch, _ = import_torch()
        import peers_torch_sound

        self.row, self.model = row, peers_torch_sound.WaveNet(**row.network).eval()
        self.about = {"parameters": sum(p.numel() for p in self.model.parameters()), "torch": self.torch.__version__}
        self.about |= {"unit": row.length, "least": row.length}

    def run(self, steps):
        first = self.torch.full((self.row.batch_size,), self.row.levels // 2)
        for _ in range(steps // self.row.length):
            self.model.generate(first, self.row.length, self._draw)

    def _draw(self, logits):
        return self.torch.multinomial(self.torch.softmax(logits, -1), 1)[:, 0]


def _row(name, smoke):
    return dataclasses.replace(ROWS[name], **SMOKE) if smoke else ROWS[name]


def contender(who, name, smoke=False):
    """One of CONTENDERS."""
    row = _row(name, smoke)
    if who == "torch":
        return TorchGenerator(row)
    with imports.quiet_tensorflow():
        import tensorflow  # noqa: F401 - quietly, before what imports it
    return Generator(row, cached if who == "ours" else naive)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        serve(lambda: contender(*sys.argv[2:4], smoke="smoke" in sys.argv[4:]))
    else:
        from keras_dl import command_line

        command_line.run(main)
