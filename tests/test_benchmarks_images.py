"""The measurements of generative models of images: the peers are the same networks, and both samplers draw the same."""

import dataclasses
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package

SMALL = {"num_layers": 4, "filters": 6, "kernel_size": 3, "dilations": (1, 2), "top_filters": (5,)}


def in_torch(networks, theirs):
    """Copy the weights of our layers into the PyTorch modules of the same names; every module must get its own.

    Args:
        networks: Keras models with random weights.
        theirs: the PyTorch module; module "layers.2.down" is our layer "layer3_down", "top.0" is "top1".
    """
    import torch

    ours = {layer.name: layer for network in networks for layer in network.layers if layer.weights}
    copied = set()
    with torch.no_grad():
        for path, module in theirs.named_modules():
            if not list(module.parameters(recurse=False)):
                continue
            name = our_name(path, ours)
            kernel, *others = (np.array(weight) for weight in ours[name].get_weights())
            if isinstance(module, torch.nn.BatchNorm2d):
                assert (module.eps, 1 - module.momentum) == (ours[name].epsilon, ours[name].momentum)
                own = (module.weight, module.bias, module.running_mean, module.running_var)
                for parameter, weight in zip(own, (kernel, *others), strict=True):
                    parameter.copy_(torch.from_numpy(weight))
            else:
                module.weight.copy_(torch.from_numpy(turned(name, kernel, module)))
                assert len(others) == (module.bias is not None)
                if others:
                    module.bias.copy_(torch.from_numpy(others[0]))
            copied.add(name)
    assert copied == set(ours)


def our_name(path, names):
    parts = path.split(".")
    if parts[0] == "layers" and len(parts) > 2:
        return f"layer{int(parts[1]) + 1}_{parts[2]}"
    if parts[0] == "top" and len(parts) > 1:
        name = f"top{int(parts[1]) + 1}"
        return name if name in names else "parameters"
    return path


def turned(name, kernel, module):
    """A kernel in PyTorch's order of axes; those of a DCGAN's maps are turned by 180 degrees."""
    import torch

    if isinstance(module, torch.nn.Linear):
        maps = kernel.shape[0 if name == "logits" else 1] // 49
        if name == "project":
            kernel = kernel.reshape(-1, 7, 7, maps)[:, ::-1, ::-1].transpose(0, 3, 1, 2).reshape(len(kernel), -1)
        elif kernel.shape[1] == 1:
            kernel = kernel.reshape(7, 7, maps, 1)[::-1, ::-1].transpose(2, 0, 1, 3).reshape(-1, 1)
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
    in_torch([ours], theirs)
    x = np.random.default_rng(1).integers(0, 2, (3, 28, 28, 1)).astype("float32")
    wanted = np.asarray(ours(x))[..., 0]
    with torch.no_grad():
        logits = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    assert wanted.std() > 0.02
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * wanted.std())


@pytest.mark.oracle
def test_the_peer_of_vae_is_our_network():
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_images
    import step_time_images

    ours, theirs = step_time_images.ROWS["vae"].build(), peers_torch_images.Vae()
    networks = [restless(ours.encoder), restless(ours.decoder)]
    in_torch(networks, theirs)
    rng = np.random.default_rng(1)
    x, code = rng.integers(0, 2, (3, 28, 28, 1)).astype("float32"), rng.normal(size=(3, 20)).astype("float32")
    with torch.no_grad():
        pixels = torch.from_numpy(x.reshape(3, -1))
        posterior = theirs.posterior(torch.tanh(theirs.encoder_hidden1(pixels)))
        logits = theirs.logits(torch.tanh(theirs.decoder_hidden1(torch.from_numpy(code))))
        theirs.posterior.weight[20:] = 0  # a deviation of e^-15: the code is the mean
        theirs.posterior.bias[20:] = -30.0
        loss = theirs(pixels)
    np.testing.assert_allclose(posterior.numpy(), ours.encoder(x), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(logits.numpy(), ours.decoder(code), rtol=1e-4, atol=1e-3)
    kernel, bias = ours.encoder.get_layer("posterior").get_weights()
    kernel[:, 20:], bias[20:] = 0, -30.0
    ours.encoder.get_layer("posterior").set_weights([kernel, bias])
    np.testing.assert_allclose(float(loss), float(ours.compute_losses(x, True)["vae"]), rtol=1e-4)


@pytest.mark.oracle
def test_the_peers_of_dcgan_are_our_networks():
    """For pictures that are turned by 180 degrees, because of where a stride of 2 begins."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_images
    import step_time_images

    ours, theirs = step_time_images.ROWS["dcgan"].build(), peers_torch_images.Dcgan().eval()
    rng = np.random.default_rng(1)
    noise, x = rng.normal(size=(3, 100)).astype("float32"), rng.normal(size=(3, 28, 28, 1)).astype("float32")
    in_torch([restless(ours.generator)], theirs.generator)
    in_torch([restless(ours.discriminator)], theirs.discriminator)
    with torch.no_grad():
        pictures = theirs.generator(torch.from_numpy(noise)).numpy().transpose(0, 2, 3, 1)[:, ::-1, ::-1]
        logits = theirs.discriminator(torch.from_numpy(x[:, ::-1, ::-1].transpose(0, 3, 1, 2).copy())).numpy()
    wanted = np.asarray(ours.generator(noise, training=False))
    assert wanted.std() > 0.1 and abs(wanted).mean() < 0.99
    np.testing.assert_allclose(pictures, wanted, atol=1e-3)
    np.testing.assert_allclose(logits, ours.discriminator(x, training=False), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", ["vae", "dcgan", pytest.param("gated_pixelcnn", marks=pytest.mark.slow)])
def test_operations_counted_by_hand_are_those_of_the_graph_of_a_step(name):
    """Of what the gradients need: the data's own gradient, and that of the other network's weights, are left out."""
    import step_time_images
    import tensorflow as tf

    row = dataclasses.replace(step_time_images.ROWS[name], batch_size=2)
    if name == "gated_pixelcnn":  # TensorFlow pads the parts of a dilated convolution, which is not counted
        row = dataclasses.replace(row, arguments=row.arguments | {"dilations": (1,)})
    model, x = row.build(), tf.ones((2, 28, 28, 1))

    def gradients(loss, variables, tape):
        return [gradient for gradient in tape.gradient(loss, variables) if gradient is not None]

    def step(x):
        if name == "gated_pixelcnn":
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(x, training=True))
            return gradients(loss, model.trainable_variables, tape)
        outputs = []
        for part, variables in model.parts.items():
            with tf.GradientTape() as tape:
                loss = model.compute_losses(x, True, part)[part]
            outputs += gradients(loss, variables, tape)
        return outputs

    counted = sum(products(tf.function(step, autograph=False).get_concrete_function(x)))
    assert abs(counted / row.operations() - 1) < 0.01


def products(function):
    """The floating-point operations of the products and convolutions on which a graph's outputs depend."""
    import tensorflow as tf

    graph = function.graph
    names = [tensor.op.name for tensor in graph.outputs]
    kept = {node.name for node in tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), names).node}
    for op in graph.get_operations():
        assert not re.search("Call|While|If|Case|Einsum", op.type) or op.name not in kept, op.type
        if op.name not in kept:
            continue
        if op.type == "MatMul":
            yield 2 * math.prod(op.outputs[0].shape) * op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
        elif op.type == "Conv2D":
            yield 2 * math.prod(op.outputs[0].shape) * math.prod(op.inputs[1].shape[:3])
        elif op.type in ("Conv2DBackpropInput", "Conv2DBackpropFilter"):
            kernel = op.inputs[1] if op.type == "Conv2DBackpropInput" else op.outputs[0]
            yield 2 * math.prod(op.inputs[2].shape) * math.prod(kernel.shape[:3])


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("name", ["vae", "dcgan", "gated_pixelcnn"])
def test_the_contenders_of_a_row_of_images_run(name, monkeypatch):
    """Each two steps over little data, and all with the same count of weights; compiling takes a minute."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_images

    few = {"images": 40, "batch_size": 4} | ({"arguments": SMALL} if name == "gated_pixelcnn" else {})
    monkeypatch.setitem(step_time_images.ROWS, name, dataclasses.replace(step_time_images.ROWS[name], **few))
    counts = set()
    for who in step_time.IMAGES[name]:
        if who != "torch_compiled":
            contender = step_time_images.contender(who, name)
            contender.run(2)
            counts.add(contender.about["parameters"])
    assert len(counts) == 1


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


def test_the_epochs_that_fit_follow_from_the_ends_of_the_first():
    import budget

    assert budget.plan([50.0, 80.0, 110.0], 600) == (20.0, 30.0, 18)  # 20 + 18 * 30 = 560 of 582
    assert budget.plan([50.0, 80.0, 110.0], 10) == (20.0, 30.0, 0)
    assert budget.app_of("gan", "dcgan").startswith("apps/gan_images.py")
    assert budget.app_of("binarized_mnist", "gated_pixelcnn_long").startswith("apps/model_images.py")
    assert budget.app_of("gan", "real") is budget.app_of("step_time", "vae") is None


def test_classes_count_from_three_tenths_of_their_share_of_the_test_images_on():
    import sample_quality

    from keras_dl import frechet, judging

    features = np.random.default_rng(0).normal(size=(100, 3))
    moments, far = frechet.Moments.of(features), frechet.Moments.of(features + 2.0)
    shares = {"a": 0.03, "b": 0.0299, "c": 0.9401}
    equal = {"a": 0.1, "b": 0.1, "c": 0.8}
    row = sample_quality.row_of(judging.Verdict(far, shares), judging.Verdict(moments, equal), {"images": 100})
    assert row["metrics"]["classes_covered"] == 2
    np.testing.assert_allclose(row["metrics"]["frechet_classifier"], 12.0, rtol=1e-5)  # 3 features, each 2 away
    assert row["details"] == {
        "images": 100, "shares": shares, "shares_of_test_images": equal, "least_of_that_share": 0.3,
    }  # fmt: skip


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
