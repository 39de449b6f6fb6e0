"""The speed of beam search with a Transformer: with keys and values kept, without, and in PyTorch.

    python benchmarks/decoding_speed.py transformer_beam5 --json FILE

Every contender translates the same 100 sentences of 8 to 24 tokens in one batch, with the same weights, a beam of
K = 5 and the same search: among the best K continuations of a sentence, those that end are complete hypotheses, and the
best K that do not end are continued. float32, 2 threads. The network has the sizes of the one in the table multi30k and
is not trained. Because untrained weights end sentences at arbitrary places, the end is a token that the search never
chooses, and every contender runs 40 steps: about as many as the longest of a hundred translations of Multi30k, for
which a batch has to wait.
- ours: decoding.beam_search over the model's steps, one call of one graph, as in the export, which searches two halves
  of the batch side by side (decoding.search_in_halves).
- uncached: the same search, also in halves; its state is the tokens so far, and at each step the decoder with its
  output layer runs on all of them again. The source is encoded once, and all hypotheses of a sentence share it.
  uncached_last is the same, but computes only the last position's logits.
- torch: a loop in Python under inference_mode; each layer keeps the target's keys and values in one tensor each, to
  which the new step's are concatenated, and index_select reorders them with the hypotheses; the keys and values of the
  source are computed once.
Their translations are compared before they are timed. The contenders run in turn, and rounds and ratios are computed,
as in step_time.py.
"""

import argparse
import contextlib
import dataclasses
import functools
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

ROUNDS = 20
BOS = 1
CONTENDERS = ("ours", "uncached", "uncached_last", "torch")
CLOSE = 1e-3  # largest difference of two contenders' log-probabilities for the same translation, in nats
EQUAL = 0.95  # share of the sentences that must have the same translation: a near tie may fall either way


@dataclasses.dataclass(frozen=True)
class Search:
    """A row of the table: the network, the sentences, the beam."""

    words: int = 10_000
    layers: int = 4
    width: int = 128
    inner: int = 256
    heads: int = 4
    sentences: int = 100
    shortest: int = 8
    longest: int = 24
    beam: int = 5
    steps: int = 40
    end: int | None = None  # None: no token

    def build(self):
        from keras_dl import models

        model = models.build_transformer(
            self.words, num_layers=self.layers, hidden_dim=self.width, intermediate_dim=self.inner,
            num_heads=self.heads,
        )  # fmt: skip
        weights = self.weights()
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(weights[layer.name])
        return model

    def torch(self):
        import_torch()
        import peers_torch_translation

        model = peers_torch_translation.build(
            "transformer", words=self.words, width=self.width, layers=self.layers, inner=self.inner,
            heads=self.heads, bias=False, batch_first=True,
        )  # fmt: skip
        peers_torch_translation.copy_transformer(self.weights(), model)
        return model.eval()

    def weights(self):
        """{layer: arrays}. The last norm is scaled by -3: with nearly equal probabilities every second step would be a
        tie, and with a positive scale every token would follow itself, since the embedding is the output's matrix."""
        rng, d, weights = np.random.default_rng(SEED), self.width, {}

        def matrix(rows, columns, deviation=None):
            return rng.normal(0.0, deviation or (2 / (rows + columns)) ** 0.5, (rows, columns)).astype(np.float32)

        weights["embedding"] = [matrix(self.words, d, d**-0.5)]
        for side, attentions in (("encoder", ("attention",)), ("decoder", ("attention", "cross_attention"))):
            for layer in (f"{side}{n}" for n in range(1, self.layers + 1)):
                for name in attentions:
                    weights[f"{layer}_{name}"] = [matrix(d, d) for _ in range(4)]
                for name in (*attentions, "feed_forward"):
                    weights[f"{layer}_{name}_norm"] = [np.ones(d, np.float32), np.zeros(d, np.float32)]
                for name, rows, columns in (("up", d, self.inner), ("down", self.inner, d)):
                    weights[f"{layer}_{name}"] = [matrix(rows, columns), np.zeros(columns, np.float32)]
        weights[f"decoder{self.layers}_feed_forward_norm"][0] *= -3
        return weights

    def source(self):
        """(B, S) int32: tokens, then padding."""
        rng = np.random.default_rng(SEED)
        lengths = rng.integers(self.shortest, self.longest + 1, self.sentences)
        lengths[0] = self.longest
        tokens = rng.integers(4, self.words, (self.sentences, self.longest))
        return np.where(np.arange(self.longest) < lengths[:, None], tokens, 0).astype(np.int32)

    @property
    def stop(self):
        return self.words if self.end is None else self.end


ROWS = {"transformer_beam5": Search()}
SMOKE = {"words": 600, "sentences": 4, "steps": 6}


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
    """{"metrics": ratios, "details": milliseconds of the whole search and what was run}."""
    row, words = _row(name, smoke), ("smoke",) if smoke else ()
    warn_of_load()
    with contextlib.ExitStack() as stack:
        workers = {who: stack.enter_context(Worker(__file__, who, name, *words)) for who in CONTENDERS}
        equal = compare({who: worker.block("translate") for who, worker in workers.items()})
        blocks = interleave(workers, [("ours", who) for who in CONTENDERS[1:]], smoke, ROUNDS)
        ready = {who: worker.ready for who, worker in workers.items()}
    metrics = {f"ratio_to_{peer}": ratio(blocks["ours"], blocks[peer]) for peer in CONTENDERS[1:]}
    details = dataclasses.asdict(row) | {"parameters": ready["ours"]["parameters"], "threads": THREADS}
    details |= {"equal_translations": equal, "torch": ready["torch"]["torch"]}
    details |= {f"{who}_ms": quartiles(1000 * blocks[who]["seconds"][blocks[who]["clean"]]) for who in blocks}
    return {"metrics": metrics, "details": details | shares(blocks)}


def compare(results):
    """{peer: share of the sentences whose best translation is ours}; refuse contenders whose results differ."""
    ours, shares = results["ours"], {}
    for who, theirs in results.items():
        if who == "ours":
            continue
        same = np.array([a == b for a, b in zip(ours["tokens"], theirs["tokens"], strict=True)])
        apart = np.abs(np.subtract(ours["log_probabilities"], theirs["log_probabilities"]))
        shares[who] = float(same.mean())
        if shares[who] < EQUAL or apart[same].max() > CLOSE:
            raise UserError(
                f"decoding_speed: every contender must find the same; {who} has {same.sum()} of {len(same)} "
                f"translations of ours, their log-probabilities up to {apart.max():.2g} apart."
            )
    return shares


class Ours:
    """Our search over a model, or over what `of` makes of it."""

    def __init__(self, row, of=None):
        with imports.quiet_tensorflow():
            import tensorflow as tf

            from keras_dl import decoding
        model = row.build()
        decoder = of(model) if of else model

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
        def search(source):
            return decoding.search_in_halves(half, source, fill=row.stop)

        def half(source):
            memory, state = decoder.begin(source)
            first = tf.fill([tf.shape(source)[0]], BOS)
            return decoding.beam_search(
                decoding.step_function(decoder, memory), state, first, row.steps, row.beam, end=row.stop
            )

        self.search, self.source = search.get_concrete_function(), tf.constant(row.source())
        self.about = {"parameters": trainable(model)}

    def run(self, times):
        for _ in range(times):
            self.search(self.source)[0].numpy()

    def translate(self, _):
        outputs, _, log_probabilities, _ = self.search(self.source)
        return {"tokens": outputs[:, 0].numpy().tolist(), "log_probabilities": log_probabilities[:, 0].numpy().tolist()}


class Uncached:
    """A Transformer without what it keeps: the state is the target so far, (N, t) tokens."""

    def __init__(self, model, last=False):
        self.model, self.last = model, last

    def begin(self, source):
        import tensorflow as tf

        nothing = tf.compat.v1.placeholder_with_default(tf.zeros([tf.shape(source)[0], 0], tf.int32), [None, None])
        return {"read": self.model.encode(source), "mask": source[:, None, :] != 0}, nothing

    def step(self, tokens, state, memory):
        import tensorflow as tf

        tokens = tf.concat([state, tokens[:, None]], 1)
        rows, steps = tf.unstack(tf.shape(tokens))
        before = tf.range(steps)[None, :] <= tf.range(steps)[:, None]

        def own(n, layer, x):
            return layer(x, attention_mask=before[None])[0]

        def cross(n, layer, x):  # all rows of a sentence ask its one memory
            queries = tf.reshape(x, [tf.shape(memory["read"])[0], -1, x.shape[-1]])
            attended, _ = layer(queries, memory["read"], attention_mask=memory["mask"])
            return tf.reshape(attended, [rows, steps, x.shape[-1]])

        x = self.model.parts.decoder(self.model.embed_target(tokens), self.model.num_layers, own, cross)
        return self.model.output_of(x[:, -1:] if self.last else x)[:, -1], tokens


class Torch:
    """A beam search as users of PyTorch write it."""

    def __init__(self, row):
        self.torch, _ = import_torch()
        from peers_torch_translation import CachedDecoder

        model = row.torch()
        self.row, self.decoder = row, CachedDecoder(model)
        self.source = self.torch.from_numpy(row.source()).long()
        self.about = {"parameters": sum(p.numel() for p in model.parameters()), "torch": self.torch.__version__}

    def run(self, times):
        for _ in range(times):
            self.search(self.source)

    def translate(self, _):
        outputs, log_probabilities = self.search(self.source)
        return {"tokens": outputs.tolist(), "log_probabilities": log_probabilities.tolist()}

    def search(self, source):
        """(B, S) -> the best hypotheses (B, T), filled with the end, and their log P (B,), without a length penalty."""
        torch, batch, width, end, longest = self.torch, len(source), self.row.beam, self.row.stop, self.row.steps
        with torch.inference_mode():
            memory, cache = self.decoder.begin(source), None
            tokens, live = torch.full((batch * width,), BOS), torch.full((batch, width), -torch.inf)
            live[:, 0] = 0.0
            written = torch.empty((batch, width, 0), dtype=torch.int64)
            best, complete = torch.full_like(live, -torch.inf), torch.full((batch, width, longest), end)
            begin = torch.arange(batch)[:, None] * width
            for t in range(longest):
                logits, cache = self.decoder.step(tokens, cache, memory)
                scores = live[:, :, None] + torch.log_softmax(logits, -1).view(batch, width, -1)
                top, at = scores.flatten(1).topk(2 * width)
                parents, tokens = at // scores.shape[-1], at % scores.shape[-1]
                ended = tokens == end
                if ended[:, :width].any():
                    open_ = torch.isneginf(best[:, -1:])  # a sentence with `width` complete hypotheses keeps those
                    scores_of_new = torch.where(ended[:, :width] & open_, top[:, :width], -torch.inf)
                    new = torch.full_like(complete, end)
                    new[:, :, :t] = _taken(written, parents[:, :width])
                    best, order = torch.cat([best, scores_of_new], 1).topk(width)
                    complete = _taken(torch.cat([complete, new], 1), order)
                    if not torch.isneginf(best[:, -1]).any():
                        break
                live, order = top.masked_fill(ended, -torch.inf).topk(width)
                parents, tokens = parents.gather(1, order), tokens.gather(1, order)
                rows = (begin + parents).flatten()
                cache = [[x.index_select(0, rows) for x in pair] for pair in cache]
                written = torch.cat([_taken(written, parents), tokens[:, :, None]], 2)
                tokens = tokens.flatten()
            none = torch.isneginf(best[:, 0])
            if none.any():  # none of its hypotheses has ended
                complete[none, 0, :], best[none, 0] = written[none, 0], live[none, 0]
            return complete[:, 0], best[:, 0]


def _taken(hypotheses, order):
    """The entries of (B, K, T) with the indices `order` (B, K')."""
    return hypotheses.gather(1, order[:, :, None].expand(-1, -1, hypotheses.shape[2]))


def _row(name, smoke):
    return dataclasses.replace(ROWS[name], **SMOKE) if smoke else ROWS[name]


def contender(who, name, smoke=False):
    """One of CONTENDERS."""
    row = _row(name, smoke)
    if who == "torch":
        return Torch(row)
    return Ours(row, None if who == "ours" else functools.partial(Uncached, last=who == "uncached_last"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        serve(lambda: contender(*sys.argv[2:4], smoke="smoke" in sys.argv[4:]))
    else:
        from keras_dl import command_line

        command_line.run(main)
