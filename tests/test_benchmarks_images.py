"""The measurements of generative models of images: the peers are the same networks, and both samplers draw the same."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package

SMALL = {"num_layers": 4, "filters": 6, "kernel_size": 3, "dilations": (1, 2), "top_filters": (5,)}


def in_torch(network, theirs, skipped=()):
    """Copy the weights of our layers into the PyTorch modules of the same names; every module must get its own.

    Args:
        network: a Keras model, with random weights.
        theirs: the PyTorch module; module "layers.2.down" is our layer "layer3_down", "top.0" is "top1".
        skipped: names of our layers that are compared elsewhere.
    """
    import torch

    names = {layer.name for layer in network.layers if layer.weights} - set(skipped)
    with torch.no_grad():
        for path, module in theirs.named_modules():
            name = our_name(path, names)
            if not list(module.parameters(recurse=False)):
                continue
            kernel, *others = (np.array(weight) for weight in network.get_layer(name).get_weights())
            if isinstance(module, torch.nn.BatchNorm2d):
                for own, weight in zip(
                    (module.weight, module.bias, module.running_mean, module.running_var), (kernel, *others),
                    strict=True,
                ):  # fmt: skip
                    own.copy_(torch.from_numpy(weight))
            else:
                module.weight.copy_(torch.from_numpy(turned(kernel, module)))
                assert len(others) == (module.bias is not None)
                if others:
                    module.bias.copy_(torch.from_numpy(others[0]))
            names.remove(name)
    assert not names


def our_name(path, names):
    parts = path.split(".")
    if parts[0] == "layers" and len(parts) > 2:
        return f"layer{int(parts[1]) + 1}_{parts[2]}"
    if parts[0] == "top" and len(parts) > 1:
        name = f"top{int(parts[1]) + 1}"
        return name if name in names else "parameters"
    return path


def turned(kernel, module):
    """A kernel in PyTorch's order of axes; those of convolutions with stride 2 are turned by 180 degrees."""
    import torch

    if isinstance(module, torch.nn.Linear):
        return kernel.T.copy()
    if module.stride == (2, 2):
        kernel = kernel[::-1, ::-1]
    return kernel.transpose(3, 2, 0, 1).copy()  # of a transposed convolution too: (h, w, out, in) -> (in, out, h, w)


def restless(network, seed=0):
    """The network with random weights, biases and statistics."""
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.dtype == "float32":
            variance = "variance" in weight.name
            weight.assign(rng.uniform(0.5, 2, weight.shape) if variance else rng.normal(0, 0.3, weight.shape))
    return network


@pytest.mark.oracle
@pytest.mark.parametrize("skip_filters", [None, 7], ids=["residual", "skips"])
def test_the_peer_of_gated_pixelcnn_is_our_network(skip_filters):
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_images
    import step_time_images

    arguments = SMALL | ({"skip_filters": skip_filters} if skip_filters else {})
    ours = restless(step_time_images.GatedPixelCnn(arguments=arguments).build())
    theirs = peers_torch_images.GatedPixelCnn(**arguments)
    assert sum(p.numel() for p in theirs.parameters()) == sum(w.numpy().size for w in ours.trainable_variables)
    in_torch(ours, theirs)
    x = np.random.default_rng(1).integers(0, 2, (3, 28, 28, 1)).astype("float32")
    wanted = np.asarray(ours(x))[..., 0]
    with torch.no_grad():
        logits = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    assert wanted.std() > 0.02
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * wanted.std())


@pytest.mark.oracle
def test_the_peers_of_the_rows_have_as_many_weights_as_our_networks():
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_images

    for row in step_time_images.ROWS.values():
        few = dataclasses.replace(row, images=10)
        assert few.torch("torch").about["parameters"] == step_time.trainable(row.build())


@pytest.mark.parametrize("rows", [1, 3])
def test_the_naive_sampler_draws_what_ours_draws(rows):
    """Also where the network is not binary and has no first layer of its own; the log-probabilities are equal too."""
    import sampling_speed

    from keras_dl import models
    from keras_dl.decoding import pixels

    model = restless(
        models.build_gated_pixelcnn((4, 5, 1), 2, output="bernoulli", num_layers=2, filters=4, top_filters=(4,))
    )
    (ours, log_p), (naive, naive_log_p) = (of(model, rows, 7) for of in (pixels.sample, sampling_speed.naive_sample))
    assert 0 < np.mean(ours) < 1
    np.testing.assert_array_equal(ours, naive)
    np.testing.assert_allclose(log_p, naive_log_p, rtol=1e-4)


def test_other_images_are_refused():
    import sampling_speed

    images = np.random.default_rng(0).integers(0, 2, (10, 4, 4, 1))
    two_differ = images.copy()
    two_differ[:2, 3, 3] ^= 1
    drawn = {"ours": {"images": images.tolist()}, "naive": {"images": two_differ.tolist()}}
    with pytest.raises(sampling_speed.UserError, match="80% of them are equal"):
        sampling_speed.compare(drawn)
    drawn["naive"]["images"] = images.tolist()
    assert sampling_speed.compare(drawn) == 1.0
