"""GANs in the house's verbs: trained, measured, killed and resumed to the bit, on two replicas."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from killing import KillAt

from keras_dl import checkpoint, data, models, runs, training
from keras_dl.features.levels import Levels

SHAPE = (16, 16, 1)
SMALL = {"filters": 3, "latent_dim": 5, "kernel_size": 3}
MODELS = {  # name: (arguments of build_dcgan, steps of the critic)
    "dcgan": ({}, 1),
    "dcgan, dropout and classes": ({"dropout": 0.2, "num_classes": 2}, 1),
    "wgan_gp": ({"loss": "wgan_gp"}, 2),
}


def batches(size=40, batch_size=8, labelled=False, seed=0, **kwargs):
    images = np.random.default_rng(seed).integers(0, 256, (size, *SHAPE), np.uint8)
    examples = data.Examples({"image": images, "label": np.arange(size, dtype=np.int32) % 2})
    collate = (data.levels.levels_and_labels if labelled else data.levels.levels_only)(Levels(SHAPE))
    return data.batches(examples, batch_size, collate=collate, **kwargs)


def built(name="dcgan"):
    arguments, steps = MODELS[name]
    keras.utils.set_random_seed(7)
    model = models.build_dcgan(SHAPE, **SMALL | arguments)
    optimizers = {part: keras.optimizers.Adam(1e-3, 0.5) for part in model.parts}
    model.compile(optimizers, steps={model.critic_name: steps})
    return model


def run_in(folder, **kwargs):
    return runs.Run(path=folder, root=folder, name="gan-set", app="app", **kwargs)


def fit(name, run, epochs=3, **kwargs):
    model, labelled = built(name) if isinstance(name, str) else name, "classes" in str(name)
    labelled = labelled or bool(model.num_classes)
    train = batches(labelled=labelled, shuffle=True, seed=3)
    validation = batches(16, labelled=labelled)
    history = training.fit(model, train, validation, run, epochs=epochs, **{"keep": "last", "verbose": 0} | kwargs)
    return model, history


def state(model):
    return [keras.ops.convert_to_numpy(v).tobytes() for v in checkpoint.variables(model)]


@pytest.mark.parametrize(
    "name", [name if name == "dcgan" else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_a_run_that_was_killed_goes_on_to_the_bit_with_both_optimizers(tmp_path, name):
    whole, history = fit(name, run_in(tmp_path / "whole"))
    with pytest.raises(SystemExit):
        fit(name, run_in(tmp_path / "run"), callbacks=[KillAt(1)])
    position = checkpoint.newest(tmp_path / "run" / "checkpoints")[1]
    assert (position["epoch"], position["step"] > 0) == (1, True)
    resumed, again = fit(name, run_in(tmp_path / "run", resumed=True))
    assert again == history and state(resumed) == state(whole)
    critic, generator = resumed.compiled_parts
    assert (
        int(critic.optimizer.iterations) == MODELS[name][1] * int(generator.optimizer.iterations) == 15 * critic.steps
    )


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["generator", "discriminator"])
def test_the_law_of_resuming_notices_a_forgotten_optimizer(tmp_path, monkeypatch, lost):
    """The law above can fail."""
    whole, _ = fit("dcgan", run_in(tmp_path / "whole"))
    fit("dcgan", run_in(tmp_path / "run"), epochs=1)
    every = checkpoint.variables

    def forgetful(model):
        forgotten = {id(v) for v in checkpoint.optimizers(model)[lost].variables}
        return [v if id(v) not in forgotten else keras.Variable(v, trainable=False) for v in every(model)]

    monkeypatch.setattr(checkpoint, "variables", forgetful)
    resumed, _ = fit("dcgan", run_in(tmp_path / "run", resumed=True))
    monkeypatch.undo()
    assert state(resumed) != state(whole)


def test_a_measure_of_samples_is_monitored_and_its_best_epoch_kept(tmp_path):
    model, seen = built(), []
    noise = model.noise_of(4, (1, 2))

    def measure(model):
        seen.append(model.generate(noise).numpy())
        return {"brightness": float(seen[-1].mean())}

    _, history = fit(model, run_in(tmp_path), measure=measure, monitor="brightness", keep="best", epochs=4)
    best = int(np.argmin(history["brightness"]))
    np.testing.assert_allclose(model.generate(noise), seen[1 + best], atol=1e-3)  # the first is before training
    assert {"discriminator_loss", "generator_loss", "val_generator_loss", "brightness"} <= set(history)


def test_training_moves_both_networks_and_samples_draw_nothing_from_its_stream(tmp_path):
    """Pictures that are made between epochs, by seeds of their own, do not change the training."""
    plain, _ = fit("dcgan", run_in(tmp_path / "plain"), epochs=2)

    class Draw(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.generate(self.model.noise_of(3, (9, epoch)))

    drawn, _ = fit("dcgan", run_in(tmp_path / "drawn"), epochs=2, callbacks=[Draw()])
    assert state(plain) == state(drawn)
    for one, two in zip(built().trainable_variables, plain.trainable_variables, strict=True):
        assert not np.array_equal(one, two) or "bias" in one.path


@pytest.mark.slow
def test_two_replicas_train_it_with_noise_of_their_own_and_equal_one_under_the_same_noise(tmp_path):
    """FACTS: both optimizers are built in the strategy's scope, and no replica makes a variable."""
    script = """
import sys; sys.path.insert(0, 'tests')
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices('CPU')
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np, pathlib, keras, test_adversarial as t
from keras_dl import models
folder = pathlib.Path(sys.argv[1])
mirrored = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])

with mirrored.scope():
    model = t.built()
seeds = mirrored.run(lambda: model._next_seed())
one, two = (value.numpy().tolist() for value in mirrored.experimental_local_results(seeds))
assert one != two, (one, two)
noise = [model.noise_of(3, seed).numpy() for seed in (one, two)]
assert (noise[0] != noise[1]).all()

for name in t.MODELS:
    run = t.run_in(folder / name, strategy=mirrored)
    with run.scope():
        model = t.built(name)
    model, history = t.fit(model, run, epochs=2)
    assert all(np.isfinite(v).all() for v in history.values()), history
    for variable in model.trainable_variables:  # the replicas agree
        first, second = (np.asarray(v) for v in mirrored.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second)

def quiet(self, rows, seed, temperature=1.0):
    return tf.ones([rows, self.latent_dim]) * tf.linspace(-1.0, 1.0, self.latent_dim)
models.GAN.noise_of = quiet  # the same noise for every picture, whichever replica makes it
def go(strategy):
    run = t.run_in(folder / f'quiet-{strategy is None}', strategy=strategy)
    with run.scope():
        keras.utils.set_random_seed(7)
        model = models.build_dcgan(t.SHAPE, **t.SMALL, discriminator_norm='none')
        # the statistics of a batch are of a replica's share: without batch normalisation the steps are equal
        for layer in model.generator.layers:
            if 'bn' in layer.name:
                layer.trainable = False
        model.compile({part: keras.optimizers.SGD(0.1) for part in model.parts})
    return t.fit(model, run, epochs=2)
(a, one), (b, two) = go(None), go(mirrored)
for x, y in zip(a.weights, b.weights, strict=True):
    np.testing.assert_allclose(x.numpy(), y.numpy(), atol=2e-5, err_msg=x.path)
for metric in one:
    np.testing.assert_allclose(one[metric], two[metric], rtol=1e-3, atol=1e-5, err_msg=metric)
print('EQUAL')
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        capture_output=True, text=True, cwd=os.path.dirname(os.path.dirname(__file__)),
    )  # fmt: skip
    assert "EQUAL" in done.stdout, done.stderr[-3000:]
