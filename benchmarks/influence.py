"""Which inputs moved a prediction: recurrent networks, a convolutional one and an MLP side by side on one text.

    python benchmarks/influence.py lstm --json FILE

Every network reads the characters of Python's own library and predicts the next one. The influence of an input
character is the norm of a gradient: that of the log-probability of the character after the last of 64, with respect to
the input character's vector. It is averaged over 256 places of the validation text, and shown character by character
for one of them. tanh, lstm, gru: one layer of 128 units. convnet: four causal convolutions of 128 maps, 5 characters
wide, which see 17 characters. mlp: one layer of 128 units over a window of 10 characters. All have vectors of 64 values
a character and are trained in the same way, on windows of 64 characters with no state carried in from before.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

from keras_dl import command_line, imports, models, runs

SEED = 0
PLAN = {"steps": 64, "batch_size": 32, "epochs": 4, "learning_rate": 2e-3, "clipnorm": 1.0}
UNITS, EMBEDDING = 128, 64
PLACES = 256
ROWS = ("tanh", "lstm", "gru", "convnet", "mlp")
SHOWN = 36  # characters of the place that is shown
COLOURS = ("tab:gray", "tab:blue", "tab:green", "tab:orange", "tab:red")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="an epoch of little text: does everything run?")
    asked = parser.parse_args(argv)
    result = measure(asked.row, asked.smoke)
    print(f"test_bits {result['metrics']['test_bits']:.4g}")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def measure(row, smoke=False):
    """Train the network of a row: bits a character of the test text, and its influence by distance."""
    with imports.quiet_tensorflow():
        import keras

        from keras_dl import data, objectives, training
        from keras_dl.data import text
    splits = text.load("python", SEED)
    keras.utils.set_random_seed(SEED)

    def batches(examples, rows, shuffle=False):
        windows = text.windows(examples.take(slice(4000)) if smoke else examples, rows, PLAN["steps"])
        windows = dataclasses.replace(windows, rows=0)  # each is for itself: their order is free
        return data.batches(windows, rows, collate=_Alone(splits.preprocess).batch, seed=SEED, shuffle=shuffle)

    model = network(row, len(splits.preprocess.vocabulary))
    model.compile(
        keras.optimizers.Adam(PLAN["learning_rate"], global_clipnorm=PLAN["clipnorm"]),
        objectives.SequenceLoss("categorical"), weighted_metrics=[objectives.BitsPerStep()],
    )  # fmt: skip
    train, validation, test = (
        batches(part, PLAN["batch_size"], shuffle=part is splits.train)
        for part in (splits.train, splits.validation, splits.test)
    )
    with tempfile.TemporaryDirectory(prefix="keras_dl-influence-") as folder:
        run = runs.Run(path=Path(folder) / "run", root=Path(folder), name=row, app="influence", seed=SEED)
        training.fit(
            model, train, validation, run, epochs=1 if smoke else PLAN["epochs"], monitor="val_bits", keep="best",
            checkpoint=False, verbose=1,
        )  # fmt: skip
    metrics = training.evaluate(model, test)
    stream = splits.validation.features["tokens"]
    starts = np.linspace(0, len(stream) - PLAN["steps"] - 1, PLACES).astype(int)
    places = np.stack([stream[s : s + PLAN["steps"] + 1] for s in starts])
    norms = influence(model, places)
    shown = PLACES // 3
    characters = [splits.preprocess.vocabulary[i] for i in places[shown]]
    return {
        "metrics": {"test_bits": metrics["bits"]},
        "details": {**PLAN, "parameters": model.count_params()},
        "curves": {
            "by_distance": norms.mean(0)[::-1].tolist(), "place": norms[shown].tolist(), "characters": characters,
        },
    }  # fmt: skip


def network(row, vocabulary_size):
    """tokens (B, T) -> logits (B, T, K); a chain of layers, the embedding first."""
    import keras
    from keras import layers

    shared = {"units": (UNITS,), "embedding_dim": EMBEDDING, "implementation": "xla"}
    if row == "tanh":
        return models.build_rnn((PLAN["steps"],), vocabulary_size, **shared)
    if row in ("lstm", "gru"):
        return getattr(models, f"build_{row}")((PLAN["steps"],), vocabulary_size, **shared)
    tokens = keras.Input((PLAN["steps"],), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, EMBEDDING, name="embedding")(tokens)
    count, width = (4, 5) if row == "convnet" else (1, 10)
    for number in range(1, count + 1):
        x = layers.Conv1D(UNITS, width, padding="causal", activation="relu", name=f"conv{number}")(x)
    return keras.Model(tokens, layers.Dense(vocabulary_size, name="logits")(x), name=row)


def influence(model, places):
    """(N, T) norms of the gradient of log p(the last token | all before) with respect to the vector of each of them.

    Args:
        places: int32 (N, T + 1).
    """
    import tensorflow as tf

    @tf.function(autograph=False)
    def norms(tokens):
        x = vectors = model.layers[1](tokens[:, :-1])
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            for layer in model.layers[2:]:
                x = layer(x, training=False)
                x = x[0] if isinstance(x, list) else x
            log = tf.nn.log_softmax(x[:, -1])
            last = tf.gather(log, tokens[:, -1], batch_dims=1)
        return tf.norm(tape.gradient(last, vectors), axis=-1)

    return norms(tf.constant(places)).numpy()


def draw(curves, path):
    """Influence by distance, and on the characters of one place."""
    from matplotlib.figure import Figure

    rows = [row for row in ROWS if row in curves]
    figure = Figure(figsize=(13, 4), layout="constrained")
    by_distance, place = figure.subplots(1, 2, width_ratios=(1, 1.6))
    for row, colour in zip(rows, COLOURS, strict=False):
        values = np.array(curves[row]["by_distance"])
        shown = np.where(values > 0, values, np.nan) / values.sum()
        by_distance.plot(range(1, 1 + len(values)), shown, color=colour, label=row)
    by_distance.set(
        xlabel="characters back", ylabel="share of the influence", xscale="log", yscale="log", ylim=(1e-5, 1),
        title="Gradient of a prediction by each past input",
    )  # fmt: skip
    by_distance.grid(alpha=0.3)
    by_distance.legend()
    strip = np.array([curves[row]["place"][-SHOWN:] for row in rows])
    place.imshow(strip / strip.max(1, keepdims=True), aspect="auto", cmap="Oranges", vmin=0, vmax=1)
    *characters, following = curves[rows[0]]["characters"][-SHOWN - 1 :]
    for row in range(len(rows)):
        for column, character in enumerate(characters):
            shown = {"\n": "\\n", " ": "·"}.get(character, character)
            place.text(column, row, shown, ha="center", va="center", fontsize=9, family="monospace")
    place.set_yticks(range(len(rows)), rows)
    place.set_xticks([])
    place.set_title(f"Which characters moved the probability of the next, {following!r}")
    figure.savefig(path, dpi=110)


class _Alone:
    """The tokens of a window, without what stands before it."""

    def __init__(self, tokens):
        self.tokens = tokens

    def batch(self, raw):
        x, y, weight = self.tokens.batch(raw)
        return x["tokens"], y, weight


PICTURES = {"influence": draw}

if __name__ == "__main__":
    command_line.run(main)
