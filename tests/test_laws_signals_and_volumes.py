"""Laws of the ConvNets of sounds and volumes: what a kernel of one slice does, how maps move, what a spectrogram is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import layers, models
from keras_dl.models._residual import basic

RNG = np.random.default_rng


def randomised(model, seed=0):
    """The model with weights and statistics that are not those of its beginning; variances stay positive."""
    rng = RNG(seed)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape) * rng.choice([-1, 1], w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(np.abs(layer.moving_variance.numpy()))
    return model


def test_a_residual_block_whose_kernels_have_one_slice_is_that_of_pictures_on_each_slice():
    volume, picture = keras.Input((5, 7, 6, 2)), keras.Input((7, 6, 2))
    of_volumes = keras.Model(volume, basic(volume, 3, 1, "ones", "block"))
    of_pictures = randomised(keras.Model(picture, basic(picture, 3, 1, "ones", "block")))
    weights = []
    for wanted, value in zip(of_volumes.get_weights(), of_pictures.get_weights(), strict=True):
        if wanted.ndim == 5:
            whole = np.zeros(wanted.shape, "float32")
            whole[wanted.shape[0] // 2] = value  # the middle slice alone
            value = whole
        weights.append(value)
    of_volumes.set_weights(weights)
    x = RNG(1).normal(size=(2, 5, 7, 6, 2)).astype("float32")
    slices = of_pictures(x.reshape(10, 7, 6, 2)).numpy().reshape(2, 5, 7, 6, 3)
    np.testing.assert_allclose(of_volumes(x), slices, rtol=1e-4, atol=1e-4 * np.abs(slices).max())


def test_the_maps_of_a_convnet_move_with_the_volume_by_the_total_stride():
    """By two blocks, which halve a volume twice: 4 voxels in are one voxel out, along each axis."""
    model = randomised(models.build_convnet3d((24, 24, 24, 1), 2, filters=(2, 3), kernel_size=(3, 3), units=()))
    maps = keras.Model(model.input, model.get_layer("pool2").output)
    volume = np.zeros((1, 24, 24, 24, 1), "float32")
    volume[0, 8:14, 9:13, 8:12, 0] = RNG(0).normal(size=(6, 4, 4))
    at_rest = maps(volume).numpy()[0]
    for axis in range(3):
        moved = maps(np.roll(volume, 4, 1 + axis)).numpy()[0]
        inner = (slice(2, -1),) * 3  # beside the padded border
        np.testing.assert_allclose(moved[inner], np.roll(at_rest, 1, axis)[inner], rtol=1e-5, atol=1e-5)
        assert np.abs(moved - at_rest).max() > 1


def test_the_maps_of_a_sound_move_with_it_by_the_total_stride():
    """By M5's first two blocks: a stride of 4 and two poolings by 4, so 64 samples in are one step out."""
    model = randomised(models.build_convnet1d((2048,), 3, filters=(3, 4)))
    maps = keras.Model(model.input, model.get_layer("pool2").output)
    sound = np.zeros((1, 2048), "float32")
    sound[0, 800:1000] = RNG(0).normal(size=200)
    at_rest, moved = maps(sound).numpy()[0], maps(np.roll(sound, 64, 1)).numpy()[0]
    np.testing.assert_allclose(moved[3:-3], np.roll(at_rest, 1, 0)[3:-3], rtol=1e-4, atol=1e-4)
    assert np.abs(moved - at_rest).max() > 1


@pytest.mark.parametrize("shape", [(1, 5, 4, 7, 2), (2, 4, 4, 4, 1)])
@pytest.mark.parametrize(("size", "strides", "padding"), [(2, None, "valid"), (3, 2, "valid"), (2, 2, "same")])
def test_max_pooling_of_volumes_in_other_precisions_is_that_of_float32(shape, size, strides, padding):
    x = RNG(0).normal(size=shape).astype("float32")
    x = x.astype("float16").astype("float32")  # numbers that all three have
    wanted = keras.layers.MaxPooling3D(size, strides, padding)(x).numpy()
    for dtype in ("float64", "float16"):
        ours = layers.MaxPooling3D(size, strides, padding, dtype=dtype)(x.astype(dtype)).numpy()
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours.astype("float32"), wanted)


def spectrogram_of(sound, layer):
    """The same in NumPy: the energy of a Fourier transform of each window, times the triangles of the bands."""
    count = 1 + max(0, len(sound) - layer.window) // layer.hop
    sound = np.pad(sound, (0, max(0, layer.window - len(sound))))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(layer.window) / layer.window)
    windows = np.stack([sound[n * layer.hop :][: layer.window] * hann for n in range(count)])
    energy = np.abs(np.fft.rfft(windows)) ** 2

    def mel(f):
        return 2595 * np.log10(1 + f / 700)

    edges = np.linspace(mel(20.0), mel(layer.rate / 2), layer.bands + 2)
    of_bins = mel(np.fft.rfftfreq(layer.window, 1 / layer.rate))[:, None]
    up, down = (of_bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - of_bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(up, down)) * (np.arange(len(of_bins)) > 0)[:, None]
    return np.log(energy @ triangles + layer.floor)


@pytest.mark.parametrize("samples", [1000, 256, 90])
def test_a_spectrogram_is_that_of_its_definition(samples):
    layer = layers.LogMelSpectrogram(rate=8000, bands=20, window=256, hop=100)
    sound = RNG(samples).uniform(-1, 1, samples)
    ours = layer(sound[None].astype("float32")).numpy()[0]
    assert ours.shape == layer.compute_output_shape((1, samples))[1:]
    np.testing.assert_allclose(ours, spectrogram_of(sound, layer), rtol=1e-4, atol=1e-4)


def test_a_tone_is_loudest_in_its_band_at_every_rate_and_silence_is_the_floor():
    for rate in (8000, 16_000):
        layer = layers.LogMelSpectrogram(rate, 30, window=rate // 25, hop=rate // 50)
        tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype("float32")
        loudest = layer(tone[None]).numpy()[0].argmax(-1)
        assert len(set(loudest)) == 1
        energy = layer.matrix[:, loudest[0]]  # the triangle of this band
        assert energy[round(1000 / (rate / layer.window))] > 0.5
    np.testing.assert_allclose(layer(tf.zeros([1, rate])), np.log(layer.floor), rtol=1e-6)
