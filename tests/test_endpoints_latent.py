"""Endpoints of an autoencoder: what they answer is what the model says, bounded, and the same for the same seed."""

import math

import numpy as np
import pytest
import tensorflow as tf
from cases import CASES

from keras_dl import endpoints, export
from keras_dl.endpoints import latent
from keras_dl.features.latent import Latent
from keras_dl.features.levels import Levels

ROWS = {"vae": "threshold", "vae-256": None}


@pytest.fixture(scope="module", params=ROWS)
def served(request):
    """(a model, its pre-processing, its endpoints as graphs)."""
    changes = {} if request.param == "vae" else {"levels": 256, "filters": (2,)}
    model = CASES["vae"].make(**changes)
    preprocess = Levels(model.image_shape, model.levels)
    each = export.autoencoder(model, preprocess, ROWS[request.param])
    return model, preprocess, each, {name: endpoint.traced() for name, endpoint in each.items()}


def pictures(count=3, height=5, width=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 1)).astype(np.uint8)


def refusal(call):
    with pytest.raises((tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError)) as error:
        call()
    return str(error.value)


def test_every_endpoint_answers_as_the_model(served):
    model, preprocess, _, ask = served
    images = pictures()
    levels = preprocess(images)
    posterior = model.encode(levels)
    codes = ask["encode"](image=images)
    np.testing.assert_allclose(codes["latent"], posterior.mean(), rtol=1e-5)
    np.testing.assert_allclose(codes["deviation"], np.exp(posterior.log_scale), rtol=1e-5)
    files = np.array([tf.io.encode_png(image).numpy() for image in images], object)
    np.testing.assert_allclose(ask["serving_default"](image_bytes=files)["latent"], codes["latent"], rtol=1e-5)
    made = preprocess.inverse(model.reconstruct(levels)).numpy()
    np.testing.assert_array_equal(ask["reconstruct"](image=images)["image"], made)
    np.testing.assert_array_equal(ask["decode"](latent=codes["latent"])["image"], made)
    drawn = ask["sample"](n=4, seed=3)
    np.testing.assert_array_equal(drawn["image"], preprocess.inverse(model.sample(4, 3)))
    np.testing.assert_array_equal(ask["decode"](latent=drawn["latent"])["image"], drawn["image"])
    assert np.ptp(ask["sample"](n=3, seed=3, temperature=0.0)["image"], axis=0).max() == 0
    answer = ask["log_prob"](image=images, k=30, seed=2)
    np.testing.assert_allclose(answer["bound"], model.bound(levels, 30, 2), rtol=1e-5)
    if model.levels == 2:
        np.testing.assert_allclose(answer["nats_per_image"], -answer["bound"])
    else:
        np.testing.assert_allclose(answer["bits_per_dimension"], -answer["bound"] / (20 * math.log(2)), rtol=1e-6)


def test_a_request_without_pictures_has_no_rows(served):
    *_, each, ask = served
    none = np.zeros((0, 0, 0, 1), np.uint8)
    empty = {"image": none, "image_bytes": np.array([], object), "latent": np.zeros((0, 3), np.float32), "n": 0}
    for name, endpoint in each.items():
        answer = ask[name](**{field: empty[field] for field in endpoint.inputs if field in empty})
        assert {field: len(value) for field, value in answer.items()} == dict.fromkeys(endpoint.outputs, 0)


def test_what_is_too_much_is_refused_by_the_graph(served):
    *_, each, ask = served
    most = each["decode"].limits["codes"]
    assert "may have at most" in refusal(lambda: ask["sample"](n=each["sample"].limits["pictures"] + 1))
    assert "n must not be negative" in refusal(lambda: ask["sample"](n=-1))
    assert "temperature must be from 0" in refusal(lambda: ask["sample"](n=1, temperature=float("nan")))
    assert "may have at most" in refusal(lambda: ask["decode"](latent=np.zeros((most + 1, 3), np.float32)))
    assert "finite" in refusal(lambda: ask["decode"](latent=np.full((1, 3), np.inf, np.float32)))
    for k in (0, latent.MOST_SAMPLES + 1, -(2**31)):
        assert "k must be from 1 to 10,000" in refusal(lambda k=k: ask["log_prob"](image=pictures(), k=k))


def test_the_samples_of_all_pictures_together_are_bounded(monkeypatch):
    monkeypatch.setattr(latent, "PRODUCTS", 30_000)
    model = CASES["vae"].model
    each = export.autoencoder(model, Levels(model.image_shape, 2))["log_prob"]
    assert each.limits["samples_of_all"] == 30_000 // (3 * 16 + 16 * 20 + latent.A_PIXEL * 20) == 29
    ask = each.traced()
    assert len(ask(image=pictures(3), k=9)["bound"]) == 3
    assert "may have at most 29 samples of all pictures" in refusal(lambda: ask(image=pictures(3), k=10))


def test_products_are_counted_by_hand():
    model = CASES["vae-convolutional"].model
    # 5 x 6 -> 3 x 3 -> 2 x 2; a transposed convolution uses its kernel at every place of its input
    conv1, conv2 = 25 * 3 * 30 // 4, 25 * 3 * 2 * 9 // 4
    assert latent.products(model.encoder) == pytest.approx(conv1 + conv2 + 8 * 9 + 9 * 10, rel=0.1)
    conv1, conv2 = 25 * 2 * 3 * 9 // 4, 25 * 3 * 30 // 4
    assert latent.products(model.decoder) == pytest.approx(5 * 9 + 9 * 8 + conv1 + conv2, rel=0.1)


@pytest.mark.parametrize("levels", [2, 256])
def test_a_picture_that_is_not_finite_is_refused(levels):
    """Of a code that is finite, and so large that the decoder's sums are not: it would be cast from NaN."""
    model = CASES["vae"].make(levels=levels, units=(3,), filters=(), activation="relu")
    hidden, logits = (layer for layer in model.decoder.layers if layer.weights)
    hidden.kernel.assign(np.full(hidden.kernel.shape, 10.0))  # of such a code all units are infinite,
    logits.kernel.assign(logits.kernel * 0 + [[1.0], [-1.0], [1.0]])  # and their sum is no number
    ask = export.autoencoder(model, Levels(model.image_shape, levels))["decode"].traced()
    assert ask(latent=np.full((1, 3), 9, np.float32))["image"].shape == (1, *model.image_shape)
    far = np.full((1, 3), 3e38, np.float32)
    assert "the decoded picture is not finite" in refusal(lambda: ask(latent=far))


def test_any_number_of_levels_has_a_likelihood_that_says_so():
    model = CASES["vae"].make(levels=16, filters=(2,))
    each = export.autoencoder(model, Levels(model.image_shape, 16))["log_prob"]
    assert "whole grey levels from 0 to 15" in each.outputs["bits_per_dimension"].meaning()
    answer = each.traced()(image=pictures(), k=4)
    np.testing.assert_allclose(answer["bits_per_dimension"], -answer["bound"] / (20 * math.log(2)), rtol=1e-6)


def test_pictures_in_grey_levels_have_no_likelihood_under_a_model_of_two():
    model = CASES["vae"].model
    for bound in (lambda x: model.bound(x, 2), model.elbo):
        with pytest.raises(ValueError, match="VAE: images must hold whole levels from 0 to 1"):
            bound(np.full((1, *model.image_shape), 255, np.float32))


def test_another_pre_processing_is_refused():
    model = CASES["vae"].model
    with pytest.raises(ValueError, match="must give images"):
        export.autoencoder(model, Levels((5, 4, 1), 256))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(4), "must hold a code of 3 numbers; it has shape"),
        (np.array(["a", "b", "c"]), "must hold a code of 3 numbers"),
        (np.array([1, 2, np.nan]), "must hold finite numbers"),
        (np.array([None] * 3), "is no NumPy file"),
    ],
)
def test_a_file_that_holds_no_code_is_one_line(array, said, tmp_path):
    from keras_dl.errors import UserError

    path, feature = tmp_path / "code.npy", Latent(3)
    np.save(path, array, allow_pickle=True)
    with pytest.raises(UserError, match=said) as error:
        feature.read(feature.check(str(path)))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_endpoint_that_samples_says_so(served):
    *_, each, _ = served
    assert {name for name, endpoint in each.items() if endpoint.samples} == {"sample", "log_prob"}
    assert isinstance(each["sample"], endpoints.Endpoint)
