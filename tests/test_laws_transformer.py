"""Laws of the Transformer: its paper's equations in NumPy, what it may see, and that it writes as it reads."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import BOS, CASES, EOS, PAD, PAPER_COUNTS

from keras_dl import decoding, models, objectives, optimizers
from keras_dl.layers.attention import MultiHeadAttention, Positions, ScaledEmbedding, sinusoids

V, N, D, HEADS = 13, 2, 8, 2
SIZES = {"vocabulary_size": V, "num_layers": N, "hidden_dim": D, "intermediate_dim": 12, "num_heads": HEADS}
LEARNED = {"positions": "learned", "max_length": 16}
VARIANTS = {
    "paper": {},
    "norm_first": {"norm_first": True},
    "learned": {**LEARNED, "tied": False, "use_bias": True},
    "norm_first-learned": {"norm_first": True, **LEARNED, "tied": False, "use_bias": True},
}
BOTH = ["paper", "norm_first-learned"]  # what the two have covers all that there is


def shaken(model):
    """Biases and norms drawn too, as if the model had been trained."""
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if variable.path.endswith(("beta", "bias")):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        if variable.path.endswith("gamma"):
            variable.assign(rng.uniform(0.7, 1.3, variable.shape))
    return model


def made(variant, **changes):
    keras.utils.set_random_seed(3)
    return shaken(models.build_transformer(**SIZES | VARIANTS[variant] | changes))


model_of = functools.cache(made)  # for the laws that leave its weights alone


def sentences(lengths=(5, 3, 6), steps=(4, 6, 2), seed=0):
    """{"source": EOS after its tokens, "target": BOS before them}, PAD behind both."""
    rng = np.random.default_rng(seed)
    source, target = (np.full((len(lengths), max(n) + 1), PAD, np.int32) for n in (lengths, steps))
    for i, (length, step) in enumerate(zip(lengths, steps, strict=True)):
        source[i, : length + 1] = [*rng.integers(EOS + 1, V, length), EOS]
        target[i, : step + 1] = [BOS, *rng.integers(EOS + 1, V, step)]
    return {"source": source, "target": target}


def logits_of(model, given):
    return np.asarray(model(given, training=False))


# The paper's equations


def named(layer):
    return {weight.name: np.asarray(weight, np.float64) for weight in layer.weights}


def attention(layer, query, memory, mask, heads):
    """Section 3.2, head by head: (B, Q, d), (B, M, .), bool (B, Q, M) -> outputs, weights (B, h, Q, M)."""
    w, found, weights = named(layer), [], []
    q, k, v = (
        x @ w[f"{n}_kernel"] + w.get(f"{n}_bias", 0) for x, n in ((query, "query"), (memory, "key"), (memory, "value"))
    )
    width = q.shape[-1] // heads
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        scores = q[..., own] @ np.swapaxes(k[..., own], 1, 2) / np.sqrt(width)
        e = np.where(mask, np.exp(scores - scores.max(-1, keepdims=True)), 0.0)
        weights.append(e / e.sum(-1, keepdims=True))
        found.append(weights[-1] @ v[..., own])
    return np.concatenate(found, -1) @ w["output_kernel"] + w.get("output_bias", 0), np.stack(weights, 1)


def paper(model, given, norm_first=False, positions="sinusoidal", tied=True, **_):
    """Section 3, and with norm_first arXiv:2002.04745, figure 1 (b): logits, and the weights of all attentions."""

    def layer(name):
        return model.get_layer(name)

    def norm(x, name):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        w = named(layer(f"{name}_norm"))
        return (x - mean) / np.sqrt(variance + 1e-5) * w["gamma"] + w["beta"]

    def sub_layer(x, name, of):
        return x + of(norm(x, name)) if norm_first else norm(x + of(x), name)

    def feed_forward(x, name):
        up, down = named(layer(f"{name}_up")), named(layer(f"{name}_down"))
        hidden = np.maximum(0, x @ up["kernel"] + up["bias"])
        return hidden @ down["kernel"] + down["bias"]

    def attend(name, memory, mask):
        def of(x):
            made, found = attention(layer(name), x, x if memory is None else memory, mask, HEADS)
            weights[name] = found
            return made

        return of

    def embedded(side):
        table = named(layer("embedding" if tied or side == "source" else "target_embedding"))["embeddings"]
        steps = given[side].shape[1]
        if positions == "learned":
            places = named(layer(f"{side}_positions"))["embeddings"][:steps]
        else:
            angles = np.arange(steps)[:, None] / 10_000 ** (np.arange(0, D, 2) / D)
            places = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(steps, D)
        return table[given[side]] * np.sqrt(D) + places

    weights, (source, target) = {}, (given["source"], given["target"])
    seen = np.broadcast_to((source != PAD)[:, None], (len(source), source.shape[1], source.shape[1]))
    x = embedded("source")
    for n in range(1, N + 1):
        x = sub_layer(x, f"encoder{n}_attention", attend(f"encoder{n}_attention", None, seen))
        x = sub_layer(x, f"encoder{n}_feed_forward", lambda x, n=n: feed_forward(x, f"encoder{n}"))
    memory = norm(x, "encoder") if norm_first else x
    x, past = embedded("target"), np.tril(np.ones((target.shape[1],) * 2, bool))
    for n in range(1, N + 1):
        x = sub_layer(x, f"decoder{n}_attention", attend(f"decoder{n}_attention", None, past))
        across = attend(f"decoder{n}_cross_attention", memory, (source != PAD)[:, None])
        x = sub_layer(x, f"decoder{n}_cross_attention", across)
        x = sub_layer(x, f"decoder{n}_feed_forward", lambda x, n=n: feed_forward(x, f"decoder{n}"))
    x = norm(x, "decoder") if norm_first else x
    output = named(layer("embedding"))["embeddings"].T if tied else named(layer("output"))["kernel"]
    return x @ output, weights


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_whole_model_is_section_3(variant):
    given = sentences()
    logits, weights = paper(model_of(variant), given, **VARIANTS[variant])
    assert np.ptp(logits) > 1
    np.testing.assert_allclose(logits_of(model_of(variant), given), logits, atol=2e-5)
    shown = model_of(variant).with_attention()(given, training=False)
    for kind, name in (("source_", "encoder{}_"), ("target_", "decoder{}_"), ("", "decoder{}_cross_")):
        wanted = np.stack([weights[f"{name.format(n)}attention"] for n in range(1, N + 1)], 1)
        np.testing.assert_allclose(shown[f"{kind}attention"], wanted, atol=1e-5)
    np.testing.assert_array_equal(shown["logits"], logits_of(model_of(variant), given))


MASKS = {  # of 3 queries and 4 steps of the memory, or as many as queries
    "none": lambda q, m: None,
    "padding": lambda q, m: np.arange(m) < np.array([m, 2])[:, None, None],
    "causal": lambda q, m: np.tril(np.ones((1, q, m), bool)),
    "each its own": lambda q, m: (np.arange(2 * q * m).reshape(2, q, m) % 3 == 0) | (np.arange(m) == 1),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("itself", [True, False])
def test_attention_is_the_papers_equations(mask, use_bias, itself):
    rng = np.random.default_rng(0)
    query, memory = (rng.normal(size=shape).astype("float32") for shape in ((2, 3, 6), (2, 4, 7)))
    memory = query if itself else memory
    layer = MultiHeadAttention(2, 5, use_bias=use_bias)
    layer.build(query.shape, None if itself else memory.shape)
    shaken(layer)
    mask = MASKS[mask](3, memory.shape[1])
    outputs, weights = layer(query, *([] if itself else [memory]), attention_mask=mask)
    seen = np.broadcast_to(True if mask is None else mask, (2, 3, memory.shape[1]))
    wanted, wanted_weights = attention(layer, query, memory, seen, 2)
    assert np.ptp(wanted) > 1 and outputs.dtype == weights.dtype == "float32"
    np.testing.assert_allclose(outputs, wanted, atol=1e-5)
    np.testing.assert_allclose(weights, wanted_weights, atol=1e-6)
    np.testing.assert_allclose(np.where(seen[:, None], weights, 0).sum(-1), 1, atol=1e-6)
    assert not np.asarray(weights)[~np.broadcast_to(seen[:, None], weights.shape)].any()  # 0, exactly
    assert len(layer.weights) == (8 if use_bias else 4)


def test_its_four_products_are_drawn_each_on_its_own():
    layer = MultiHeadAttention(2, 4)
    layer.build((None, None, 8))
    drawn = [np.asarray(weight) for weight in layer.weights]
    assert len(drawn) == 4 and all(np.abs(a - b).min() > 0 for i, a in enumerate(drawn) for b in drawn[:i])


def test_sinusoids_are_the_papers():
    d = 8
    wanted = np.array([
        [f(t / 10_000 ** (2 * i / d)) for i in range(d // 2) for f in (np.sin, np.cos)] for t in range(50)
    ])  # fmt: skip
    np.testing.assert_allclose(sinusoids(tf.range(50), d), wanted, atol=1e-5)
    np.testing.assert_allclose(Positions()(tf.zeros((1, 9, d)), start=20)[0], wanted[20:29], atol=1e-5)
    assert sinusoids(tf.range(3), 7).shape == (3, 7)  # of an odd number the last is a sine
    np.testing.assert_allclose(sinusoids(tf.range(3), 7)[:, 6], np.sin(np.arange(3) / 10_000 ** (6 / 7)), atol=1e-6)


@pytest.mark.parametrize("shift", [1, 7, -3])
def test_a_shift_is_the_same_rotation_at_every_position(shift):
    """Section 3.5: PE(t + k) is a linear function of PE(t); of each frequency it turns the pair by k times it."""
    here, there = (np.asarray(sinusoids(tf.range(10, 60) + k, D)).reshape(50, D // 2, 2) for k in (0, shift))
    for i in range(D // 2):
        angle = shift / 10_000 ** (2 * i / D)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        np.testing.assert_allclose(there[:, i], here[:, i] @ turn.T, atol=2e-5)


def test_a_step_beyond_the_learned_positions_takes_the_last():
    layer = Positions("learned", 3)
    rows = layer(tf.zeros((1, 5, 4)))[0]
    np.testing.assert_array_equal(rows, np.asarray(layer.embeddings)[[0, 1, 2, 2, 2]])
    np.testing.assert_array_equal(layer(tf.zeros((1, 1, 4)), start=1)[0], rows[1:2])


def test_an_embedding_brings_and_asks_for_vectors_of_the_size_of_one():
    layer = ScaledEmbedding(2000, 64)
    vectors = np.asarray(layer(tf.range(2000)))
    assert vectors.std() == pytest.approx(1, rel=0.02)
    logits = layer(tf.constant(vectors[None, :5]), reverse=True)[0]
    np.testing.assert_allclose(logits, vectors[:5] @ np.asarray(layer.embeddings).T, rtol=1e-4, atol=1e-4)


def weights_of(v, n, d, f, bias=0, ends=0, learned=0, matrices=1):
    """Section 3 counted: matrices (v, d); N layers of each stack; norms at the ends; learned positions."""
    attention, feed_forward, norm = 4 * (d * d + bias * d), 2 * d * f + f + d, 2 * d
    encoder, decoder = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    return matrices * v * d + n * (encoder + decoder) + ends * 2 * norm + 2 * learned * d


def test_parameters_are_those_of_the_paper():
    counts = {arguments: count for (name, arguments), count in PAPER_COUNTS.items() if name == "transformer"}
    sizes = [(37_000, 6, 512, 2048), (37_000, 6, 1024, 4096), (10_000, 4, 128, 256)]
    assert [weights_of(*size) for size in sizes] == list(counts.values())
    assert [round(count / 1e6, 1) for count in counts.values()] == [63.0, 214.2, 2.6]
    for variant, options in VARIANTS.items():
        untied = {"matrices": 3, "bias": 1, "learned": 16} if "learned" in variant else {}
        wanted = weights_of(V, N, D, 12, ends=int("norm_first" in options), **untied)
        assert sum(int(np.prod(w.shape)) for w in model_of(variant).trainable_weights) == wanted


# What it may see


@pytest.mark.parametrize("variant", BOTH)
def test_padding_behind_a_source_changes_nothing_and_every_real_token_something(variant):
    model, given = model_of(variant), sentences()
    logits = logits_of(model, given)
    longer = given | {"source": np.pad(given["source"], [(0, 0), (0, 5)])}
    np.testing.assert_allclose(logits_of(model, longer), logits, atol=1e-5)
    for step in range(given["source"].shape[1]):
        other = given["source"].copy()
        other[:, step] = np.where(other[:, step] == PAD, PAD, (other[:, step] - 1) % (V - 3) + 3)
        change = np.abs(logits_of(model, given | {"source": other}) - logits).max(-1)  # (B, T)
        real = given["source"][:, step] != PAD
        assert (change[real] > 1e-4).all() and not change[~real].any()


@pytest.mark.parametrize("variant", BOTH)
def test_a_target_token_moves_its_own_logits_and_all_later_ones_alone(variant):
    model, given = model_of(variant), sentences(steps=(6, 6, 6))
    logits = logits_of(model, given)
    for step in range(1, 7):
        other = given["target"].copy()
        other[:, step] = (other[:, step] - 2) % (V - 3) + 3
        change = np.abs(logits_of(model, given | {"target": other}) - logits).max((0, 2))
        assert list(np.flatnonzero(change > 1e-5)) == list(range(step, 7))


@pytest.mark.parametrize("variant", BOTH)
def test_padding_behind_a_target_changes_none_of_its_logits(variant):
    model, given = model_of(variant), sentences()
    longer = given | {"target": np.pad(given["target"], [(0, 0), (0, 4)])}
    np.testing.assert_allclose(logits_of(model, longer)[:, :-4], logits_of(model, given), atol=1e-5)


@pytest.mark.parametrize("variant", BOTH)
def test_a_batch_gives_what_its_sentences_give_one_by_one(variant):
    """The logits; and of the loss, smoothed too, value and gradients, each sentence by its number of tokens."""
    model, given = made(variant, dropout=0.0), sentences()
    loss = objectives.SequenceLoss("categorical", label_smoothing=0.1)

    def of(given):
        labels = np.pad(given["target"][:, 1:], [(0, 0), (0, 1)])
        count = (given["target"] != PAD).sum(1, keepdims=True)
        weight = np.arange(labels.shape[1]) < count  # the last label is EOS
        labels = np.where(np.arange(labels.shape[1]) == count - 1, EOS, labels)
        with tf.GradientTape() as tape:
            logits = model(given, training=True)
            value = loss(labels, logits, weight)
        gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
        return np.asarray(logits), [np.asarray(value), *(np.asarray(tf.convert_to_tensor(g)) for g in gradients)]

    logits, together = of(given)
    counts, alone = (given["target"] != PAD).sum(1), []
    for i, count in enumerate(counts):
        one = {
            "source": given["source"][i : i + 1, : (given["source"][i] != PAD).sum()],
            "target": given["target"][i : i + 1, :count],
        }
        own, values = of(one)
        np.testing.assert_allclose(own[0], logits[i, :count], atol=1e-5)
        alone.append([count / counts.sum() * value for value in values])
    for wanted, value in zip((sum(values) for values in zip(*alone, strict=True)), together, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)


# Where it looks


@pytest.mark.parametrize("variant", BOTH)
def test_attention_sums_to_one_and_is_zero_where_nothing_is_to_be_seen(variant):
    given = sentences()
    shown = model_of(variant).with_attention()(given, training=False)
    (b, s), t = given["source"].shape, given["target"].shape[1]
    shapes = {"attention": (t, s), "source_attention": (s, s), "target_attention": (t, t)}
    for kind, shape in shapes.items():
        weights = np.asarray(shown[kind])
        assert weights.shape == (b, N, HEADS, *shape) and weights.dtype == np.float32
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        hidden = np.triu(np.ones(shape, bool), 1) if kind == "target_attention" else given["source"] == PAD
        hidden = np.broadcast_to(hidden if hidden.shape == shape else hidden[:, None, None, None], weights.shape)
        assert not weights[hidden].any() and (weights[~hidden] > 0).all()


@pytest.mark.parametrize(("num_layers", "taken"), [(1, 0), (2, 0), (3, 1)])
def test_an_alignment_is_the_mean_of_the_heads_of_the_last_layer_but_one(num_layers, taken):
    model, given = made("paper", num_layers=num_layers), sentences()
    shown = model.with_alignment()(given, training=False)
    weights = np.asarray(model.with_attention()(given, training=False)["attention"])
    assert set(shown) == {"logits", "alignment"}
    np.testing.assert_array_equal(shown["logits"], logits_of(model, given))
    np.testing.assert_allclose(shown["alignment"], weights[:, taken].mean(1), atol=1e-6)
    np.testing.assert_allclose(np.sum(shown["alignment"], -1), 1, atol=1e-5)
    layers = [w for w in (weights[:, n].mean(1) for n in range(num_layers)) if not np.allclose(w, shown["alignment"])]
    assert len(layers) == num_layers - 1  # the others are others


def test_a_model_without_attention_shows_none():
    for show in ("with_attention", "with_alignment"):
        assert hasattr(CASES["attention_seq2seq"].model, show) and not hasattr(CASES["seq2seq"].model, show)


# Step by step

K = 3  # rows a sentence


def translating(variant):
    """(model, an example of it with K targets a sentence)."""
    model, given = model_of(variant), sentences(steps=(5, 5, 5))
    target = np.repeat(given["target"], K, 0)
    target[1::K, 1:], target[2::K, 1:] = target[::K, 1:][:, ::-1], target[::K, 1:] % 3 + 3
    return model, {"source": given["source"], "target": target}


def stepwise(model, given, rows):
    """Logits (N, T, V) of the target's tokens, given one at a time; N = rows * B."""
    memory, state = model.begin(tf.convert_to_tensor(given["source"]))
    state, found = decoding.take(state, np.repeat(range(given["source"].shape[0]), rows)), []
    for tokens in tf.unstack(given["target"], axis=1):
        logits, state = model.step(tokens, state, memory)
        found.append(logits)
    return tf.stack(found, 1)


@pytest.mark.parametrize(("variant", "graph"), [*((v, False) for v in VARIANTS), *((v, True) for v in BOTH)])
def test_step_by_step_it_gives_the_models_logits(variant, graph):
    model, given = translating(variant)
    run = tf.function(stepwise, autograph=False) if graph else stepwise
    wanted = logits_of(model, given | {"source": np.repeat(given["source"], K, 0)})
    logits = run(model, given, K)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    if not graph:
        one = given | {"target": given["target"][::K]}
        np.testing.assert_allclose(run(model, one, 1), wanted[::K], atol=1e-5)


@pytest.mark.slow
def test_step_by_step_in_half_precision_it_does_so_roughly():
    full, given = translating("norm_first-learned")
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    model = made("norm_first-learned")
    model.set_weights(full.get_weights())
    wanted = logits_of(full, given | {"source": np.repeat(given["source"], K, 0)})
    for logits in (stepwise(model, given, K), tf.function(stepwise, autograph=False)(model, given, K)):
        assert logits.dtype == "float32"
        np.testing.assert_allclose(logits, wanted, atol=0.05 * np.abs(wanted).max())


@pytest.mark.parametrize("variant", BOTH)
def test_rows_may_change_places_as_a_beam_s_do(variant):
    """A state's rows taken anew, some twice: each goes on from the beginning that it was taken with."""
    model, given = translating(variant)
    order = np.array([2, 0, 0, 4, 3, 5, 6, 8, 7])
    memory, state = model.begin(tf.constant(given["source"]))
    state = decoding.take(state, np.repeat(range(len(given["source"])), K))
    for tokens in given["target"].T[:3]:
        logits, state = model.step(tf.constant(tokens), state, memory)
    state = decoding.take(state, order)
    logits, _ = model.step(tf.constant(given["target"][:, 3]), state, memory)
    mixed = np.concatenate([given["target"][order, :3], given["target"][:, 3:4]], 1)
    wanted = logits_of(model, {"source": np.repeat(given["source"], K, 0), "target": mixed})
    np.testing.assert_allclose(logits, wanted[:, 3], atol=1e-5)


@pytest.mark.parametrize("variant", BOTH)
def test_greedy_decoding_is_the_whole_model_on_the_growing_prefix(variant):
    model, given = translating(variant)
    source, length = given["source"], 8
    prefix, logs = np.full((len(source), 1), BOS, np.int32), []
    for _ in range(length):
        logits = model({"source": source, "target": prefix}, training=False)[:, -1]
        logs.append(np.max(tf.nn.log_softmax(logits), -1))
        prefix = np.concatenate([prefix, np.argmax(logits, -1)[:, None]], 1).astype(np.int32)
    tokens, logs = prefix[:, 1:], np.transpose(logs)

    @functools.partial(tf.function, autograph=False)
    def write(source, end):
        memory, state = model.begin(source)
        first = tf.fill([tf.shape(source)[0]], BOS)
        return decoding.generate(
            decoding.step_function(model, memory), state, first, length, decoding.Greedy(), end=end
        )[:2]

    found, scores = write(tf.constant(source), None)
    np.testing.assert_array_equal(found, tokens)
    np.testing.assert_allclose(scores, logs, atol=1e-5)
    if variant == "paper":  # ended by what the first sentence writes in the middle, the others go on
        end = int(tokens[0, length // 2])
        ended = np.cumsum(tokens == end, 1) - (tokens == end) > 0
        found, scores = write(tf.constant(source), end)
        np.testing.assert_array_equal(found, np.where(ended, end, tokens))
        np.testing.assert_allclose(scores, np.where(ended, 0, logs), atol=1e-5)


# As a whole


@pytest.mark.parametrize("variant", BOTH)
def test_a_file_gives_a_model_that_answers_writes_and_shows_the_same(variant, tmp_path):
    model, given = model_of(variant), sentences(steps=(5, 5, 5))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits_of(again, given), logits_of(model, given))
    np.testing.assert_array_equal(stepwise(again, given, 1), stepwise(model, given, 1))
    a, b = (m.with_alignment()(given, training=False)["alignment"] for m in (again, model))
    np.testing.assert_array_equal(a, b)


def test_dropout_is_of_training_alone_and_of_the_share_that_is_asked_for():
    given = sentences()
    still, shaky = made("paper", dropout=0.0), model_of("paper")
    np.testing.assert_allclose(still(given, training=True), logits_of(still, given), atol=1e-6)
    assert np.abs(shaky(given, training=True) - logits_of(shaky, given)).max() > 0.1
    rates = {layer.name: layer.rate for layer in made("paper", dropout=0.3).layers if hasattr(layer, "rate")}
    assert set(rates.values()) == {0.3} and len(rates) == 2 + N * (2 + 3)  # section 5.4: sums, and each sub-layer


@pytest.mark.parametrize("variant", BOTH)
def test_dropout_leaves_alone_what_goes_past_a_sub_layer(variant):
    """With sub-layers that give nothing, and the sums of embedding and position kept, there is nothing to drop."""
    model, given = made(variant, dropout=0.4), sentences()
    for layer in model.layers:
        if layer.name in ("source_dropout", "target_dropout"):
            layer.rate = 0.0
    for weight in model.trainable_weights:
        if "_down/" in weight.path or weight.name.startswith("output_"):
            weight.assign(tf.zeros_like(weight))
    np.testing.assert_allclose(model(given, training=True), logits_of(model, given), atol=1e-6)


# As a whole, learned

SYMBOLS, SHORTEST, LONGEST = 8, 4, 8


def reversals(count, batch, seed):
    """Strings and their reverses as batches for fit, and the strings' lengths (count, batch)."""
    rng, place = np.random.default_rng(seed), np.arange(LONGEST + 1)
    lengths = rng.integers(SHORTEST, LONGEST + 1, (count, batch, 1))
    drawn = rng.integers(EOS + 1, EOS + 1 + SYMBOLS, (count, batch, LONGEST + 1))
    ended = np.where(place == lengths, EOS, PAD)
    source = np.where(place < lengths, drawn, ended)
    turned = np.take_along_axis(source, np.maximum(lengths - 1 - place, 0), -1)
    labels = np.where(place < lengths, turned, ended)
    target = np.concatenate([np.full((count, batch, 1), BOS), np.where(labels == EOS, PAD, labels)[..., :-1]], -1)
    given = {"source": source.astype(np.int32), "target": target.astype(np.int32)}
    return given, labels.astype(np.int32), (place <= lengths).astype(np.float32), lengths[..., 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "bahdanau"])
def test_a_model_that_learns_to_reverse_looks_along_the_other_diagonal(kind):
    """Nothing tells it where to look: who writes token t of n must find it at place n - 1 - t."""
    size = EOS + 1 + SYMBOLS
    if kind == "transformer":
        sizes = {"hidden_dim": 64, "intermediate_dim": 128, "num_heads": 4, "dropout": 0.0}
        model, steps = models.build_transformer(size, num_layers=1, **sizes), 600
        optimizer = optimizers.build("adam", 3e-3, schedule="noam", warmup=200, beta_2=0.98, epsilon=1e-9)
    else:
        sizes = {"units": 32, "embedding_dim": 32, "attention_units": 32, "output_units": 32}
        model, steps = models.build_attention_seq2seq(size, size, initializer="glorot_uniform", **sizes), 300
        optimizer = optimizers.build("adam", 5e-3)
    *train, _ = reversals(steps, 64, seed=0)
    model.compile(optimizer, objectives.SequenceLoss("categorical"))
    model.fit(tf.data.Dataset.from_tensor_slices(tuple(train)), shuffle=False, verbose=0)
    given, labels, weight, lengths = (tf.nest.map_structure(lambda x: x[0], part) for part in reversals(1, 200, seed=1))
    shown = model.with_alignment()(given, training=False)
    right = np.argmax(shown["logits"], -1) == labels
    assert right[weight > 0].mean() > 0.97
    place = np.arange(LONGEST + 1)
    there = np.argmax(shown["alignment"], -1) == lengths[:, None] - 1 - place
    assert there[place < lengths[:, None]].mean() > 0.9
