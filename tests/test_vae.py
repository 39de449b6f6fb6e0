"""A variational autoencoder in the verbs: trained, monitored by its bound, resumed to the bit; what it shows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES
from killing import KillAt

from keras_dl import bounds, checkpoint, data, optimizers, runs, summaries, training
from keras_dl.summaries import latent


def built(**changes):
    keras.utils.set_random_seed(7)
    model = CASES["vae"].built(**changes)
    model.compile(optimizers.build("adam", 0.01))
    return model


def batches(size=40, batch_size=8, seed=0, **kwargs):
    images = np.random.default_rng(seed).integers(0, 2, (size, 5, 4, 1)).astype(np.float32)
    examples = data.Examples({"image": images})
    return data.batches(examples, batch_size, collate=lambda raw: (raw["image"], raw["image"]), **kwargs)


def run_in(folder, **kwargs):
    return runs.Run(path=folder, root=folder, name="vae-set", app="app", **kwargs)


def fit(model, run, epochs=3, **kwargs):
    validation = batches(16, seed=1)
    measure = bounds.Measure(validation, 3, "val_nats_per_image")
    kwargs = {"keep": "last", "verbose": 0, "monitor": measure.name, "measure": measure} | kwargs
    return training.fit(model, batches(shuffle=True, seed=3), validation, run, epochs=epochs, **kwargs)


def state(model):
    return [keras.ops.convert_to_numpy(v).tobytes() for v in checkpoint.variables(model)]


@pytest.mark.parametrize("samples", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_goes_on_to_the_bit(tmp_path, samples):
    """Its random numbers too: a model without their state would end with other weights."""
    whole, resumed = built(samples=samples), built(samples=samples)
    history = fit(whole, run_in(tmp_path / "whole"))
    with pytest.raises(SystemExit):
        fit(built(samples=samples), run_in(tmp_path / "run"), callbacks=[KillAt(1)])
    assert fit(resumed, run_in(tmp_path / "run", resumed=True)) == history
    assert state(resumed) == state(whole)
    assert {"loss", "kl", "reconstruction", "val_loss", "val_kl", "val_nats_per_image"} <= set(history)
    assert history["loss"][-1] < history["loss"][0]


def test_the_measure_is_the_mean_bound_of_the_validation_pictures():
    model, validation = CASES["vae"].model, batches(20, 8)
    images = validation.examples.features["image"]
    every = bounds.of_batches(model, validation, 400, seed=5)
    assert every.shape == (20,)
    np.testing.assert_allclose(every[8:16], model.bound(images[8:16], 400, 6), rtol=1e-5)
    measure = bounds.Measure(validation, 400, "x", unit=2.0, seed=5)
    assert measure(model) == measure(model) == {"x": pytest.approx(-every.mean() / 2)}
    other = CASES["vae"].make(seed=1)
    assert measure(other) == {"x": pytest.approx(-bounds.of_batches(other, validation, 400, seed=5).mean() / 2)}


def test_a_seed_that_is_counted_on_beyond_the_largest_begins_anew():
    model, images = CASES["vae"].model, batches(20, 8)
    most = 2**31 - 1
    every = bounds.of_batches(model, images, 3, seed=most)
    pixels = images.examples.features["image"]
    np.testing.assert_allclose(every[:8], model.bound(pixels[:8], 3, most), rtol=1e-5)
    np.testing.assert_allclose(every[8:16], model.bound(pixels[8:16], 3, -(2**31)), rtol=1e-5)


def test_a_unit_whose_posterior_is_the_prior_carries_nothing():
    model = CASES["vae"].make()
    posterior = model.encoder.get_layer("posterior")
    kernel, bias = np.array(posterior.kernel), np.array(posterior.bias)
    kernel[:, [1, 4]], bias[[1, 4]] = 0, 0  # the mean and the log-variance of the second of three units
    posterior.kernel.assign(kernel)
    posterior.bias.assign(bias)
    validation = batches(20, 8)
    of_units = latent.units(latent.posteriors_of(model), validation)
    assert of_units["active"].tolist() == [True, False, True]
    assert of_units["kl"][1] == pytest.approx(0, abs=1e-6) and of_units["kl"].min() >= 0
    images = validation.examples.features["image"]
    reported = model.compute_losses(images, training=False)["kl"]
    assert of_units["kl"].sum() == pytest.approx(float(reported), rel=1e-5)
    mean = np.asarray(model.encode(images).mean())
    np.testing.assert_allclose(of_units["mean"], mean, rtol=1e-5)
    assert (of_units["active"] == (mean.var(0) > 0.01)).all()


def test_units_are_on_tensorboard_after_every_epoch_and_purged(tmp_path):
    run, model = run_in(tmp_path), built()
    callback = summaries.Units(run, batches(16, seed=1))
    fit(model, run, epochs=2, callbacks=[callback])

    def steps():
        found = {}
        for path in (run.tensorboard / "validation").glob("events*"):
            for _, event in summaries.whole_events(path):
                for value in event.summary.value:
                    found.setdefault(value.tag, []).append(event.step)
        return {tag: sorted(of) for tag, of in found.items() if tag.startswith("latent/")}  # whatever the files' order

    tags = {"latent/active_units", "latent/kl", *(f"latent/kl_of_units/{n}" for n in range(3))}
    assert steps() == dict.fromkeys(tags, [1, 2])
    callback.purge(1)
    assert steps() == dict.fromkeys(tags, [1])


# Pictures of the space of codes


def test_a_manifold_divides_the_priors_mass_evenly():
    codes = latent.manifold(lambda codes: codes, 4, units=(2, 0), side=5).reshape(5, 5, 4)
    assert np.ptp(codes[:, :, 2], axis=0).max() == 0 and np.ptp(codes[:, :, 0], axis=1).max() == 0
    assert (codes[:, :, [1, 3]] == 0).all()
    mass = keras.ops.convert_to_numpy(0.5 * (1 + tf.math.erf(codes[0, :, 2] / np.sqrt(2))))
    np.testing.assert_allclose(np.diff(mass), (1 - 2 * latent.EDGE) / 4, rtol=1e-5)
    assert latent.manifold(lambda codes: codes, 1, units=(0,), side=5).shape == (5, 1)


def test_ways_are_straight_and_end_at_the_codes():
    rng = np.random.default_rng(0)
    starts, ends = rng.normal(size=(2, 3, 4))
    codes = latent.between(lambda codes: codes, starts, ends, steps=6).reshape(3, 6, 4)
    np.testing.assert_allclose(codes[:, 0], starts, rtol=1e-6)
    np.testing.assert_allclose(codes[:, -1], ends, rtol=1e-6)
    np.testing.assert_allclose(np.diff(codes, 2, axis=1), 0, atol=1e-6)


def test_reconstructions_stand_below_their_pictures():
    originals = np.arange(5)
    assert latent.beside(originals, originals + 10, 3).tolist() == [0, 1, 2, 10, 11, 12, 3, 4, 13, 14]
