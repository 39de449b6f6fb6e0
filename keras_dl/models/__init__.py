"""The architectures, one file each, with their search spaces. A file is imported on first use (PEP 562).

`catalogue` parses the source of each file without importing it, so that listing needs no TensorFlow.
"""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

EXPORTS = {  # public name -> its file
    "build_linear": "linear",
    "linear_space": "linear",
    "build_mlp": "mlp",
    "mlp_space": "mlp",
    "build_convnet": "convnet",
    "convnet_space": "convnet",
    "build_resnet": "resnet",
    "resnet_space": "resnet",
    "build_resnet_cifar": "resnet_cifar",
    "resnet_cifar_space": "resnet_cifar",
    "build_rnn": "rnn",
    "rnn_space": "rnn",
    "build_lstm": "lstm",
    "lstm_space": "lstm",
    "build_gru": "gru",
    "gru_space": "gru",
    "build_seq2seq": "seq2seq",
    "seq2seq_space": "seq2seq",
    "build_attention_seq2seq": "attention_seq2seq",
    "attention_seq2seq_space": "attention_seq2seq",
    "build_transformer": "transformer",
    "transformer_space": "transformer",
    "build_transformer_lm": "transformer_lm",
    "transformer_lm_space": "transformer_lm",
    "build_vae": "vae",
    "vae_space": "vae",
    "build_pixelcnn": "pixelcnn",
    "pixelcnn_space": "pixelcnn",
    "build_gated_pixelcnn": "gated_pixelcnn",
    "gated_pixelcnn_space": "gated_pixelcnn",
    "build_gan": "gan",
    "gan_space": "gan",
    "build_dcgan": "dcgan",
    "dcgan_space": "dcgan",
    "build_pixelrnn": "pixelrnn",
    "pixelrnn_space": "pixelrnn",
    "build_wavenet": "wavenet",
    "wavenet_space": "wavenet",
    "build_tcn": "tcn",
    "tcn_space": "tcn",
    "build_deconvnet": "deconvnet",
    "deconvnet_space": "deconvnet",
    "build_segnet": "segnet",
    "segnet_space": "segnet",
    "RecurrentNetwork": "recurrent_network",
    "Seq2Seq": "seq2seq",
    "AttentionSeq2Seq": "attention_seq2seq",
    "Transformer": "transformer",
    "TransformerLM": "transformer_lm",
    "VAE": "vae",
    "PixelModel": "pixel_model",
    "PixelCNN": "pixelcnn",
    "GatedPixelCNN": "gated_pixelcnn",
    "GAN": "adversarial",
    "PixelRNN": "pixelrnn",
    "WaveNet": "wavenet",
    "TCN": "tcn",
}


# Arguments that an app sets itself: shapes and counts of its data, what is predicted and given, and the model's name.
DECIDED = (
    "input_shape", "num_classes", "levels", "output", "condition_dim", "map_channels", "features_dim", "hop_length",
    "pixel_means", "dimensions", "vocabulary_size", "source_vocabulary_size", "target_vocabulary_size",
    "return_sequences", "seed", "name",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An architecture as its file describes it.

    Attributes:
        name: of the architecture, "convnet" for build_convnet.
        file: its path from the project's root.
        parameters: trainable parameters at the paper's defaults, the file's PARAMETERS.
        source: the paper, the first sentence after "Source:" in the file's docstring.
        arguments: the builder's arguments and their defaults, in order.
    """

    name: str
    file: str
    parameters: int
    source: str
    arguments: dict


def __getattr__(name):
    if name in EXPORTS:
        return getattr(importlib.import_module(f"{__name__}.{EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__dir__())}")


def __dir__():
    return sorted([*EXPORTS, "Architecture", "catalogue", "free_arguments"])


def catalogue():
    """Every architecture as its file describes it, read without importing TensorFlow.

    Returns:
        A list of Architecture, in the order of EXPORTS.

    >>> [(a.name, a.parameters) for a in catalogue()][0]
    ('linear', 7850)
    >>> catalogue()[0].arguments
    {'input_shape': (28, 28, 1), 'num_classes': 10, 'name': 'linear'}
    """
    return [_read(builder, file) for builder, file in EXPORTS.items() if builder.startswith("build_")]


def free_arguments(name):
    """{argument: default} of build_<name>, without those that an app sets itself: the arguments that --set can change.

    >>> free_arguments("linear")
    {}
    >>> "units" in free_arguments("lstm"), "return_sequences" in free_arguments("lstm")
    (True, False)
    """
    from keras_dl.arguments import OneOf, check

    known = {row.name: row.arguments for row in catalogue()}
    name = check("models.free_arguments: name", OneOf(*known), name)
    return {key: value for key, value in known[name].items() if key not in DECIDED}


def _read(builder, file):
    tree = ast.parse(Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8"))
    parameters = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "PARAMETERS"
    )
    arguments = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == builder).args
    named = [*arguments.args, *arguments.kwonlyargs]
    defaults = [ast.literal_eval(value) for value in (*arguments.defaults, *arguments.kw_defaults)]
    return Architecture(
        name=builder.removeprefix("build_"),
        file=f"keras_dl/models/{file}.py",
        parameters=parameters,
        source=_source(ast.get_docstring(tree)),
        arguments=dict(zip((argument.arg for argument in named), defaults, strict=True)),
    )


def _source(docstring):
    paragraph = docstring.partition("\nSource:")[2].partition("\n\n")[0]
    return re.match(r".*?(?=\.( [A-Z]|$))", " ".join(paragraph.split()))[0]
