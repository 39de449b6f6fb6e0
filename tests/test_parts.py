"""Laws of models with parts: a step follows the gradient of each part's own loss; fit, search and files go by parts."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from keras import ops
from killing import KillAt

from keras_dl import checkpoint, endpoints, errors, export, features, parts, runs, summaries, training, tuning
from keras_dl.features.numbers import Number

RATE = 0.1


def rows(fast):
    """Every toy model, all but one of them slow."""
    return [pytest.param(name, marks=[] if name == fast else pytest.mark.slow) for name in toy_models.MODELS]


def values(variables):
    return [keras.ops.convert_to_numpy(v) for v in variables]


def state(model):
    return [value.tobytes() for value in values(checkpoint.variables(model))]


def built(name="gan", **kwargs):
    keras.utils.set_random_seed(7)
    return toy_models.MODELS[name](**kwargs)


def plain_sgd(kind=toy_models.GAN, **kwargs):
    """Optimizers that subtract RATE * gradient and do nothing else, so that a step can be written down."""
    model = built()
    again = kind(model.generator, model.critic, name="gan")
    again.compile({"critic": keras.optimizers.SGD(RATE), "generator": keras.optimizers.SGD(RATE)}, **kwargs)
    return again


def run_in(folder, **kwargs):
    return runs.Run(path=folder, root=folder, name="net-set", app="app", **kwargs)


def fit(model, run, epochs=3, **kwargs):
    kwargs = {"keep": "last", "verbose": 0} | kwargs
    return training.fit(
        model, toy_models.batches(shuffle=True, seed=3), toy_models.batches(16, seed=1), run, epochs=epochs, **kwargs
    )  # fmt: skip


def descend(model, part, batch, variables):
    """A step of gradient descent by hand, with the noise that the model draws next."""
    with tf.GradientTape() as tape:
        losses = model.compute_losses(batch, training=True)
    gradients = tape.gradient(losses[part], [v.value for v in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(RATE * gradient)
    return {name: float(loss) for name, loss in losses.items()}


def batch_of(size=8):
    return next(iter(toy_models.batches(size, size).dataset()))


def test_a_step_is_gradient_descent_of_each_part_on_its_own_loss_one_after_the_other():
    ours, by_hand, batch = plain_sgd(), plain_sgd(), batch_of()
    logs = ours.train_step(batch)
    first = descend(by_hand, "critic", batch, by_hand.critic.trainable_variables)
    second = descend(by_hand, "generator", batch, by_hand.generator.trainable_variables)
    losses = {"critic_loss": first["critic"], "generator_loss": second["generator"], "gap": first["gap"]}
    for one, two in zip(values(ours.trainable_variables), values(by_hand.trainable_variables), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(losses, rel=1e-5)
    np.testing.assert_array_equal(ours.seeds.state, by_hand.seeds.state)


def test_critic_steps_are_on_shares_of_the_batch_with_noise_of_their_own():
    """Gulrajani et al. 2017, algorithm 1: k times other examples and noise for the critic, then once the generator."""
    ours, by_hand = plain_sgd(toy_models.WassersteinGAN, steps={"critic": 3}), plain_sgd(toy_models.WassersteinGAN)
    batch = batch_of(9)
    logs = ours.train_step(batch)
    critic = [descend(by_hand, "critic", batch[i::3], by_hand.critic.trainable_variables)["critic"] for i in range(3)]
    descend(by_hand, "generator", batch[0::3], by_hand.generator.trainable_variables)
    for one, two in zip(values(ours.trainable_variables), values(by_hand.trainable_variables), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)
    assert float(logs["critic_loss"]) == pytest.approx(np.mean(critic), rel=1e-5)
    assert [int(part.optimizer.iterations) for part in ours.compiled_parts] == [3, 1]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_batch_with_fewer_rows_than_shares_has_a_row_for_each(size):
    batch = {"x": tf.range(size), "y": tf.range(size) + 10}
    shares = [parts._share(batch, i, 3) for i in range(3)]
    assert [s["x"].numpy().tolist() for s in shares] == {
        1: [[0], [0], [0]], 2: [[0], [1], [0]], 4: [[0, 3], [1], [2]],
    }[size]  # fmt: skip
    assert all((s["y"].numpy() == s["x"].numpy() + 10).all() for s in shares)


def test_a_part_leaves_the_others_weights_and_slots_alone():
    model, batch = built(), batch_of()
    critic, generator = model.compiled_parts
    watched = [*generator.variables, *generator.optimizer.variables]
    before, own = values(watched), values(critic.variables)
    model._descend(critic, batch)
    for one, two in zip(before, values(watched), strict=True):
        np.testing.assert_array_equal(one, two)
    assert all((a != b).any() for a, b in zip(own, values(critic.variables), strict=True))
    # Adam has two slots a weight, momentum one, each of its own part's weights; beside them a counter and a rate.
    assert [len(part.optimizer.variables) - 2 for part in (critic, generator)] == [
        2 * len(critic.variables), len(generator.variables),
    ]  # fmt: skip
    shapes = sorted(tuple(v.shape) for v in generator.optimizer.variables if len(v.shape))
    assert shapes == sorted(tuple(v.shape) for v in generator.variables)


def test_a_layers_losses_count_once_in_the_part_that_has_the_layer():
    plain = built()
    critic = toy_models.network(toy_models.WIDTH, 1, "critic", keras.regularizers.L2(0.5))
    critic.set_weights(plain.critic.get_weights())
    critic.get_layer("out").activity_regularizer = keras.regularizers.L1(0.25)
    model = toy_models.GAN(plain.generator, critic, name="gan")
    model.compile({"critic": "sgd", "generator": "sgd"})
    without = toy_models.GAN(plain.generator, plain.critic, name="gan")
    without.compile({"critic": "sgd", "generator": "sgd"})
    batch = batch_of()
    with_losses, losses = (m.total_losses(batch, training=True) for m in (model, without))
    kernel = critic.get_layer("hidden").kernel.numpy()
    noise = toy_models.GAN(plain.generator, plain.critic).noise(batch)  # the first draw again
    both_calls = sum(0.25 * np.abs(plain.critic(x)).mean() for x in (batch, plain.generator(noise)))
    extra = float(with_losses["critic"] - losses["critic"])
    assert extra == pytest.approx(0.5 * np.square(kernel).sum() + both_calls, rel=1e-5)
    assert float(with_losses["generator"]) == pytest.approx(float(losses["generator"]), rel=1e-6)


@pytest.mark.parametrize("name", rows("gan"))
def test_keras_fit_and_ours_train_it_equally(tmp_path, name):
    ours, theirs = built(name), built(name)
    train, validation = toy_models.batches(shuffle=True, seed=3), toy_models.batches(16, seed=1)
    history = fit(ours, run_in(tmp_path), epochs=2)
    keras_history = theirs.fit(
        train.dataset(epochs=2), steps_per_epoch=train.steps(), epochs=2, verbose=0,
        validation_data=validation.dataset(),
    ).history  # fmt: skip
    for one, two in zip(values(ours.weights), values(theirs.weights), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    for metric, each in keras_history.items():
        np.testing.assert_allclose(history[metric], each, rtol=1e-5, err_msg=metric)
    assert (
        training.evaluate(ours, validation).keys()
        == theirs.evaluate(validation.dataset(), verbose=0, return_dict=True).keys()
    )


def test_learning_rates_are_logged_by_part_and_one_alone_has_no_part(tmp_path):
    history = fit(built(), run_in(tmp_path / "gan"), epochs=1)
    assert [name for name in history if "learning_rate" in name] == [
        "learning_rate/critic", "learning_rate/generator",
    ]  # fmt: skip
    history = fit(built("vae"), run_in(tmp_path / "vae"), epochs=1)
    assert [name for name in history if "rate" in name] == ["learning_rate"]
    assert set(history) == {"loss", "kl", "val_loss", "val_kl", "learning_rate"}


def test_a_plateau_halves_every_rate(tmp_path):
    halving = training.stopping(0, 1, "val_gap")[0]
    halving.min_delta = 100.0  # nothing is an improvement
    history = fit(built(), run_in(tmp_path), epochs=3, callbacks=[halving])
    for part in ("critic", "generator"):
        np.testing.assert_allclose(history[f"learning_rate/{part}"], [0.01, 0.01, 0.005])


@pytest.mark.parametrize("name", rows("wasserstein_gan"))
def test_a_run_that_was_killed_goes_on_to_the_bit(tmp_path, name):
    whole, resumed = built(name), built(name)
    history = fit(whole, run_in(tmp_path / "whole"))
    with pytest.raises(SystemExit):
        fit(built(name), run_in(tmp_path / "run"), callbacks=[KillAt(1)])
    position = checkpoint.newest(tmp_path / "run" / "checkpoints")[1]
    assert (position["epoch"], position["step"] > 0) == (1, True)
    assert fit(resumed, run_in(tmp_path / "run", resumed=True)) == history
    assert state(resumed) == state(whole)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["critic", "generator"])
def test_the_law_of_resuming_notices_a_forgotten_optimizer(tmp_path, monkeypatch, part):
    """The law above can fail."""
    whole, resumed = built(), built()
    fit(whole, run_in(tmp_path / "whole"))
    fit(built(), run_in(tmp_path / "run"), epochs=1)
    every = checkpoint.variables

    def forgetful(model):
        lost = {id(v) for v in checkpoint.optimizers(model)[part].variables}
        return [v if id(v) not in lost else keras.Variable(v, trainable=False) for v in every(model)]

    monkeypatch.setattr(checkpoint, "variables", forgetful)  # a copy is saved, and a copy is put back
    fit(resumed, run_in(tmp_path / "run", resumed=True))
    monkeypatch.undo()
    assert state(resumed) != state(whole)


def test_the_best_epoch_of_several_parts_is_kept(tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((logs["val_gap"], values(self.model.weights)))

    model = built()
    fit(model, run_in(tmp_path), epochs=4, keep="best", monitor="val_gap", mode="max", callbacks=[Watch()])
    best = max(range(4), key=lambda i: seen[i][0])
    assert best != 3  # else it is the last as well
    for one, two in zip(values(model.weights), seen[best][1], strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_monitor_that_is_not_reported_is_one_line_with_those_that_are(tmp_path):
    model = built()
    with pytest.raises(errors.UserError) as caught:
        fit(model, run_in(tmp_path), keep="best")
    assert str(caught.value) == (
        "training.fit: monitor must be one of critic_loss, generator_loss, gap, val_critic_loss, val_generator_loss, "
        "val_gap, learning_rate/critic, learning_rate/generator; got 'val_loss'."
    )
    with pytest.raises(errors.UserError, match="the monitor of EarlyStopping must be one of .*; got 'val_loss'"):
        fit(model, run_in(tmp_path), monitor="gap", callbacks=training.stopping(3, 0))
    assert all(int(part.optimizer.iterations) == 0 for part in model.compiled_parts)


@pytest.mark.parametrize("name", rows("gan"))
def test_a_search_goes_over_it(tmp_path, name):
    def compiled(hp):
        return toy_models.MODELS[name](rate=hp.Choice("rate", [0.001, 0.01, 0.1], default=0.01))

    monitor = "val_loss" if name == "vae" else "val_critic_loss"
    run = run_in(tmp_path, seed=3)
    best = tuning.search(
        compiled, toy_models.batches(), toy_models.batches(16, seed=1), run, trials=2, epochs=1, monitor=monitor
    )
    journal = json.loads((run.tuner / "trials.json").read_text())
    assert best.values["rate"] == min(journal, key=lambda r: r["score"])["values"]["rate"]
    assert {r["status"] for r in journal} == {"COMPLETED"} and not any(
        "rate" in m for r in journal for m in r["metrics"]
    )


def test_norms_are_of_each_parts_own_loss_and_move_nothing():
    model, batch = built(), batch_of()
    before = state(model)
    norms = summaries.gradient_norms(model, batch)
    assert state(model) == before
    with tf.GradientTape(persistent=True) as tape:
        losses = model.compute_losses(batch, training=True)
    by_hand = {}
    for part in model.compiled_parts:
        for layer in ("hidden", "out"):
            weights = [v.value for v in part.variables if f"{layer}/" in v.path]
            gradients = tape.gradient(losses[part.name], weights)
            by_hand[f"{part.name}/{layer}"] = float(tf.linalg.global_norm(gradients))
    assert norms == pytest.approx(by_hand, rel=1e-5)


def test_tensorboard_shows_rates_and_norms_of_every_part(tmp_path):
    run = run_in(tmp_path)
    train, validation = toy_models.batches(), toy_models.batches(16, seed=1)
    model = built()
    training.fit(
        model, train, validation, run, epochs=1, keep="last", verbose=0,
        callbacks=[summaries.TensorBoard(run, train, validation)],
    )  # fmt: skip
    events = [e for path in (run.tensorboard / "train").glob("events*") for _, e in summaries.whole_events(path)]
    tags = {value.tag for event in events for value in event.summary.value}
    assert {
        "optimization/learning_rate/critic",
        "optimization/learning_rate/generator",
        "metrics/critic_loss",
        "optimization/gradient_norm/critic/total",
    } <= tags
    assert any(event.HasField("graph_def") for event in events)


@pytest.mark.parametrize("name", toy_models.MODELS)
def test_a_file_gives_the_model_with_its_optimizers(tmp_path, name):
    model, batch = built(name), batch_of()
    model.train_step(batch)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for part, other in zip(model.compiled_parts, again.compiled_parts, strict=True):
        assert (other.name, other.steps, type(other.optimizer)) == (part.name, part.steps, type(part.optimizer))
        pairs = zip(
            [*part.variables, *part.optimizer.variables], [*other.variables, *other.optimizer.variables], strict=True
        )
        for one, two in pairs:
            np.testing.assert_array_equal(one, two)
    again.seeds.state.assign(model.seeds.state)  # which no file of Keras' holds
    for each in (model, again):
        each.train_step(batch)
    for one, two in zip(values(model.weights), values(again.weights), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_an_export_draws_as_its_generator_does(tmp_path):
    """By export.save, compared in a fresh process, and with the model.keras beside it."""
    model = built()
    model.train_step(batch_of())

    def draw(n, seed):
        noise = tf.random.stateless_normal([n, toy_models.CODE], tf.stack([seed, 0]))
        return {"x": model(noise, training=False)}

    numbers = {"n": Number("int32", 3), "seed": Number("int32", 1)}
    sample = endpoints.Endpoint(draw, numbers, {"x": features.Feature()})
    folder = export.save(model, run_in(tmp_path / "run"), endpoints={"serving_default": sample}, metrics={"gap": 1.0})
    drawn = export.load(folder).call(n=4, seed=5)["x"]
    noise = tf.random.stateless_normal([4, toy_models.CODE], [5, 0])
    np.testing.assert_allclose(drawn, model.generator(noise), rtol=1e-5)
    again = keras.models.load_model(folder / "model.keras")
    np.testing.assert_array_equal(again(noise), model.generator(noise))


class Twice(toy_models.GAN):
    parts = property(lambda self: {"critic": self.trainable_variables, "generator": self.generator.trainable_variables})


class Forgotten(toy_models.GAN):
    parts = property(
        lambda self: {"critic": self.critic.trainable_variables[:-1], "generator": self.generator.variables}
    )


class Empty(toy_models.GAN):
    parts = property(lambda self: {"critic": self.trainable_variables, "generator": []})


class Unnamed(toy_models.GAN):
    parts = property(lambda self: [self.trainable_variables])


class Clash(toy_models.GAN):
    reported = ("critic",)


BOTH = {"critic": "sgd", "generator": "sgd"}


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        (toy_models.GAN, {"optimizer": "sgd"}, "{part: optimizer} for exactly critic, generator; got 'sgd'"),
        (toy_models.GAN, {"optimizer": {"critic": "sgd"}}, "exactly critic, generator; got those of critic."),
        (toy_models.GAN, {"optimizer": BOTH | {"encoder": "sgd"}}, "got those of critic, generator, encoder."),
        (toy_models.GAN, {"optimizer": BOTH | {"critic": 3}}, "of 'critic' must be a Keras optimizer; got 3"),
        (toy_models.GAN, {"optimizer": BOTH, "steps": {"encoder": 2}}, "of critic, generator; got 'encoder'."),
        (toy_models.GAN, {"optimizer": BOTH, "steps": {"critic": 0}}, "'critic' must be a whole number from 1"),
        (toy_models.GAN, {"optimizer": BOTH, "steps": 3}, "steps must be {part: steps} of critic, generator; got 3."),
        (Twice, {"optimizer": BOTH}, "a variable must be in one part; hidden/kernel is in 'critic' and 'generator'."),
        (Forgotten, {"optimizer": BOTH}, "in none of critic, generator: out/bias. Freeze it, or add it to a part."),
        (Empty, {"optimizer": BOTH}, "must have trainable variables, and be built; 'generator' has none."),
        (Unnamed, {"optimizer": BOTH}, "parts must be {name: variables}, at least one; got"),
        (Clash, {"optimizer": BOTH}, "a reported number must not have the name of a part; got 'critic'."),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_parts_is_refused_in_one_sentence(kind, arguments, said):
    plain = built()
    model = kind(plain.generator, plain.critic, name="gan")
    with pytest.raises(errors.UserError) as caught:
        model.compile(**arguments)
    text = str(caught.value)
    assert text.startswith("gan.compile: ") and said in text and "\n" not in text


def test_one_optimizer_is_not_shared():
    plain, shared = built(), keras.optimizers.SGD()
    model = toy_models.GAN(plain.generator, plain.critic, name="gan")
    with pytest.raises(errors.UserError, match="each part must have an optimizer of its own"):
        model.compile({"critic": shared, "generator": shared})


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"critic": 1.0}, "must return exactly critic, gap; got critic."),
        ({"critic": 1.0, "generator": 1.0, "gap": 1.0, "x": 1.0}, "got critic, generator, gap, x."),
        ({"critic": np.ones(3), "generator": 1.0, "gap": 1.0}, "'critic' must be a scalar; got a tensor of shape (3,)"),
    ],
)
def test_losses_that_are_not_those_of_the_parts_are_refused(monkeypatch, losses, said):
    model = built()
    given = {name: ops.convert_to_tensor(value, "float32") for name, value in losses.items()}
    monkeypatch.setattr(model, "compute_losses", lambda batch, training, part=None: given)
    with pytest.raises(errors.UserError) as caught:
        model.train_step(batch_of())
    assert said in str(caught.value)


def test_a_loss_of_a_part_that_is_not_finite_stops_with_its_name(tmp_path):
    broken = toy_models.batches()
    broken.examples.features["x"][17, 0] = np.nan
    with pytest.raises(training.Diverged, match="critic_loss must stay finite; got nan or inf at step 3 of epoch 1"):
        training.fit(
            built(), broken, None, run_in(tmp_path), epochs=1, monitor="gap", keep="last", verbose=0
        )  # fmt: skip


def test_mixed_precision_scales_the_loss_of_every_part():
    keras.utils.set_random_seed(7)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = toy_models.gan()
        batch = tf.cast(batch_of(), tf.float16)
        for _ in range(2):
            logs = model.train_step(batch)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(isinstance(part.optimizer, keras.optimizers.LossScaleOptimizer) for part in model.compiled_parts)
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert all(np.isfinite(v).all() for v in values(model.trainable_variables))


@pytest.mark.slow
def test_two_replicas_equal_one():
    script = """
import sys; sys.path.insert(0, 'tests')
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices('CPU')
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np, pathlib, tempfile, test_parts as t, keras
from keras import ops
from keras_dl import training, summaries
folder = pathlib.Path(tempfile.mkdtemp())
class Quiet:
    '''Noise that is a function of the example, since the replicas would draw the same.'''
    def noise(self, batch):
        return ops.sin(7 * batch[:, :2])
def go(name, strategy):
    run = t.run_in(folder / f'{name}-{strategy is None}', strategy=strategy)
    with run.scope():
        model = t.built(name)
        if name != 'vae':
            model.__class__ = type('Quiet', (Quiet, type(model)), {})
        else:
            model.seeds = None
            keras.random.normal = lambda shape, seed: ops.zeros(shape)
    history = t.fit(model, run, epochs=2, callbacks=[summaries.TensorBoard(run, t.toy_models.batches())])
    return history, t.values(model.weights)
mirrored = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
for name in ('gan', 'wasserstein_gan', 'vae'):
    (one, a), (two, b) = go(name, None), go(name, mirrored)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, atol=2e-6, err_msg=name)
    for metric in one:
        np.testing.assert_allclose(one[metric], two[metric], rtol=1e-4, atol=1e-6, err_msg=metric)
print('EQUAL')
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=os.path.dirname(os.path.dirname(__file__))
    )
    assert "EQUAL" in done.stdout, done.stderr[-3000:]
