"""PyTorch's encoder and decoder give the logits and the gradients of our Transformer for the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import models, objectives

try:
    import torch
except ImportError:
    torch = None

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(torch is None, reason="oracle: PyTorch is not installed"),
]

V, N, D, HEADS, WITHIN, LENGTH = 23, 3, 24, 4, 40, 12


def torch_transformer(norm_first):
    """The stacks of torch.nn.Transformer, without the norms at their ends that it puts there after post-norm too."""
    nn = torch.nn
    shared = {
        "d_model": D, "nhead": HEADS, "dim_feedforward": WITHIN, "dropout": 0.0, "activation": "relu",
        "layer_norm_eps": 1e-5, "batch_first": True, "norm_first": norm_first,
    }  # fmt: skip
    ends = [nn.LayerNorm(D, eps=1e-5) if norm_first else None for _ in range(2)]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**shared), N, norm=ends[0], enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**shared), N, norm=ends[1])
    for parameter in [*encoder.parameters(), *decoder.parameters()]:
        (nn.init.xavier_uniform_ if parameter.ndim > 1 else nn.init.uniform_)(parameter)
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder})


def pairs(theirs):
    """(name of our weight, their parameter, rows of it, whether it is turned) of the two stacks."""
    found = []

    def norm(name, module):
        found.extend([(f"{name}/gamma", module.weight, None, False), (f"{name}/beta", module.bias, None, False)])

    def dense(name, module, kind=""):
        found.append((f"{name}/{kind}kernel", module.weight, None, True))
        found.append((f"{name}/{kind}bias", module.bias, None, False))

    for stack in ("encoder", "decoder"):
        for n, layer in enumerate(theirs[stack].layers, start=1):
            name = f"{stack}{n}"
            sub_layers = [("attention", layer.self_attn, layer.norm1)]
            if stack == "decoder":
                sub_layers.append(("cross_attention", layer.multihead_attn, layer.norm2))
            for kind, attention, its_norm in sub_layers:
                for i, part in enumerate(("query", "key", "value")):
                    rows = slice(i * D, (i + 1) * D)
                    found.append((f"{name}_{kind}/{part}_kernel", attention.in_proj_weight, rows, True))
                    found.append((f"{name}_{kind}/{part}_bias", attention.in_proj_bias, rows, False))
                dense(f"{name}_{kind}", attention.out_proj, "output_")
                norm(f"{name}_{kind}_norm", its_norm)
            dense(f"{name}_up", layer.linear1)
            dense(f"{name}_down", layer.linear2)
            norm(f"{name}_feed_forward_norm", layer.norm3 if stack == "decoder" else layer.norm2)
        if theirs[stack].norm is not None:
            norm(f"{stack}_norm", theirs[stack].norm)
    return found


def ours_alike(theirs, norm_first):
    """Our model with their weights, and its weights that theirs has not: embeddings, positions, output."""
    options = {"positions": "learned", "max_length": LENGTH, "tied": False} if norm_first else {}
    ours = models.build_transformer(
        V, num_layers=N, hidden_dim=D, intermediate_dim=WITHIN, num_heads=HEADS, dropout=0.0, norm_first=norm_first,
        use_bias=True, **options,
    )  # fmt: skip
    left = {weight.path: weight for weight in ours.weights}
    for name, parameter, rows, turned in pairs(theirs):
        value = parameter.detach().numpy()[slice(None) if rows is None else rows]
        left.pop(name).assign(value.T if turned else value)
    return ours, left


def sinusoids(steps):
    angles = torch.arange(steps)[:, None] / 10_000 ** (torch.arange(0, D, 2) / D)
    return torch.stack([angles.sin(), angles.cos()], -1).reshape(steps, D)


def their_logits(theirs, rest, source, target):
    """Embeddings, positions and the output by hand around their stacks."""

    def embedded(tokens, side):
        table = rest.get(f"{side}_embedding/embeddings", rest["embedding/embeddings"])
        places = rest.get(f"{side}_positions/embeddings")
        places = sinusoids(tokens.shape[1]) if places is None else places[: tokens.shape[1]]
        return table[tokens] * D**0.5 + places

    hidden = source == 0
    memory = theirs["encoder"](embedded(source, "source"), src_key_padding_mask=hidden)
    later = torch.ones(target.shape[1], target.shape[1]).triu(1).bool()
    made = theirs["decoder"](embedded(target, "target"), memory, tgt_mask=later, memory_key_padding_mask=hidden)
    return made @ (rest["output/kernel"] if "output/kernel" in rest else rest["embedding/embeddings"].T)


@pytest.mark.parametrize("norm_first", [False, True])
def test_logits_and_gradients_are_those_of_pytorch(norm_first):
    """Sinusoids and one matrix after the sum's norm; learned positions and three matrices with the norm first."""
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    theirs = torch_transformer(norm_first)
    ours, rest = ours_alike(theirs, norm_first)
    assert len(rest) == (5 if norm_first else 1)
    kept = {name: torch.tensor(np.array(weight), requires_grad=True) for name, weight in rest.items()}

    rng = np.random.default_rng(0)
    lengths, steps = np.array([11, 4, 7]), np.array([9, 3, 6])
    source = np.where(np.arange(LENGTH) < lengths[:, None], rng.integers(3, V, (3, LENGTH)), 0).astype(np.int32)
    target = np.where(np.arange(10) < steps[:, None], rng.integers(3, V, (3, 10)), 0).astype(np.int32)
    labels, weight = rng.integers(1, V, (3, 10)), (np.arange(10) < steps[:, None]).astype("float32")

    with tf.GradientTape() as tape:
        logits = ours({"source": source, "target": target}, training=True)
        loss = objectives.SequenceLoss("categorical", label_smoothing=0.1)(labels, logits, weight)
    gradients = tape.gradient(loss, {v.path: v.value for v in ours.trainable_variables})
    gradients = {path: np.asarray(tf.convert_to_tensor(value)) for path, value in gradients.items()}

    expected = their_logits(theirs, kept, torch.tensor(source).long(), torch.tensor(target).long())
    real = torch.tensor(weight).bool()
    their_loss = torch.nn.functional.cross_entropy(expected[real], torch.tensor(labels)[real], label_smoothing=0.1)
    their_loss.backward()
    expected = expected.detach().numpy()
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(logits[weight > 0], expected[weight > 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(loss, their_loss.item(), rtol=1e-5)

    for name, parameter, rows, turned in pairs(theirs):
        value = parameter.grad.numpy()[slice(None) if rows is None else rows]
        np.testing.assert_allclose(
            gradients.pop(name), value.T if turned else value, rtol=1e-3, atol=1e-5, err_msg=name
        )
    for name, value in kept.items():
        np.testing.assert_allclose(gradients.pop(name), value.grad, rtol=1e-3, atol=1e-5, err_msg=name)
    assert not gradients
