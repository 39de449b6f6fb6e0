"""`import keras_dl` is enough for keras.models.load_model, in a fresh process and in both orders of the two imports."""

import functools
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_dl import models, objectives, optimizers, parts, registration

ROOT = Path(__file__).resolve().parent.parent
TOKENS = {"input_shape": (None,), "num_classes": 9, "vocabulary_size": 9, "embedding_dim": 4, "tied": True}
SENTENCES = {"source_vocabulary_size": 9, "target_vocabulary_size": 9, "embedding_dim": 4}
PIXELS = {"input_shape": (5, 4, 1), "levels": 2, "output": "bernoulli"}
SMALL = {  # builder -> arguments of a small model; a builder that is not named is small by default
    "resnet": {"input_shape": (32, 32, 3), "num_classes": 2, "depth": 18, "filters": 4},
    "resnet_cifar": {"depth": 8, "filters": 4},
    "rnn": {"units": (4,), "transition_units": (3,), "shortcut": True, "output_units": (3,)},
    "lstm": {"units": (4, 3)},
    "gru": {"units": (4,), **TOKENS},
    "seq2seq": {**SENTENCES, "units": (4,)},
    "attention_seq2seq": {**SENTENCES, "units": 4, "attention_units": 3, "output_units": 4},
    "transformer": {"vocabulary_size": 9, "num_layers": 1, "hidden_dim": 4, "intermediate_dim": 4, "num_heads": 2},
    "transformer_lm": {"num_layers": 1, "hidden_dim": 4, "intermediate_dim": 4, "num_heads": 2},
    "pixelcnn": {**PIXELS, "num_blocks": 1, "filters": 2, "top_filters": (3,)},
    "gated_pixelcnn": {**PIXELS, "num_layers": 2, "filters": 2, "kernel_size": 3, "top_filters": (3,)},
    "pixelrnn": {**PIXELS, "num_layers": 1, "units": 2, "top_filters": (3,)},
    "gan": {"input_shape": (5, 4, 1), "units": (3,), "maxout_units": (2,)},
    "dcgan": {"input_shape": (8, 8, 1), "filters": 2},
    "vae": {"input_shape": (5, 4, 1), "latent_dim": 2, "units": (3,)},
    "wavenet": {"levels": 9, "dilations": (1, 2), "num_blocks": 1, "filters": 2, "skip_filters": 3},
    "tcn": {"num_layers": 2, "filters": 3, "kernel_size": 2},
}
BUILDERS = [architecture.name for architecture in models.catalogue()]
IMPORTS = {  # a fresh process's first line -> the models that it loads; a few tell whether the other order works
    "import keras_dl, keras": BUILDERS,
    "import keras, keras_dl": ["lstm", "attention_seq2seq", "transformer"],
}
# Loads each model, and prints {name: its logits' sum, or what went wrong}.
PROGRAM = """
import json, sys
import numpy as np
heavy = ("keras_dl.layers.", "keras_dl.models", "keras_dl.objectives", "keras_dl.optimizers")
early = [name for name in sys.modules if name.startswith(heavy)]
logits, said = {}, {"early": early}
for name in sys.argv[2:]:
    try:
        model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
        example = dict(np.load(f"{sys.argv[1]}/{name}.npz"))
        logits[name] = np.asarray(model(example if len(example) > 1 else example.popitem()[1]))
        said[name] = f"{type(model.optimizer).__module__} {type(model.loss).__module__}"
    except Exception as error:
        said[name] = repr(error)
np.savez(f"{sys.argv[1]}/logits.npz", **logits)
print(json.dumps(said))
"""


def example(model):
    """{input: ones, of batch 2 and 5 steps}"""
    inputs = model.inputs if isinstance(model.inputs, list) else list(model.inputs.values())
    return {x.name: np.ones([5 if n is None else n for n in (2, *x.shape[1:])], x.dtype) for x in inputs}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(folder of every builder's saved model and example, {builder: its logits})."""
    folder, logits = tmp_path_factory.mktemp("saved"), {}
    for name in BUILDERS:
        model = getattr(models, f"build_{name}")(**SMALL.get(name, {}))
        if isinstance(model, parts.ModelWithParts):
            model.compile({part: optimizers.Adam(optimizers.Noam(1e-3, 10)) for part in model.parts})
        else:
            loss, metrics = objectives.SequenceLoss("categorical"), [objectives.Perplexity()]
            model.compile(optimizers.Adam(optimizers.Noam(1e-3, 10)), loss=loss, weighted_metrics=metrics)
        model.save(folder / f"{name}.keras")
        inputs = example(model)
        np.savez(folder / f"{name}.npz", **inputs)
        logits[name] = np.asarray(model(inputs if len(inputs) > 1 else inputs.popitem()[1]))
    return folder, logits


@pytest.fixture(scope="module")
def loaded(saved):
    """A function of a line of imports: what a fresh process says of the models that it loads after it, their logits."""
    return functools.cache(lambda line: load(saved[0], line))


def load(folder, line):
    words = [sys.executable, "-c", f"{line}\n{PROGRAM}", str(folder), *IMPORTS[line]]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), dict(np.load(folder / "logits.npz"))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_saved_model_loads_after_the_import_alone(name, saved, loaded, line="import keras_dl, keras"):
    (said, logits), (_, before) = loaded(line), saved
    assert said["early"] == []  # the import has brought none of what the file needs
    model = getattr(models, f"build_{name}")(**SMALL.get(name, {}))
    own_losses = isinstance(model, parts.ModelWithParts)
    optimizer = "keras_dl.parts" if own_losses and len(model.parts) > 1 else "keras_dl.optimizers"
    assert said[name] == f"{optimizer} {'builtins' if own_losses else 'keras_dl.objectives'}"
    np.testing.assert_array_equal(logits[name], before[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", IMPORTS["import keras, keras_dl"])
def test_a_saved_model_loads_where_keras_was_imported_first(name, saved, loaded):
    """tests/test_environment.py has the same with a package in the place of Keras, which takes no time."""
    test_a_saved_model_loads_after_the_import_alone(name, saved, loaded, line="import keras, keras_dl")


def test_the_files_name_their_classes_as_the_table_does(saved):
    """Keras writes a module's path beside the registered name; it looks only the name up."""

    def ours(config):
        if isinstance(config, dict):
            if str(config.get("module")).startswith("keras_dl"):
                yield config["registered_name"], config["module"], config["class_name"]
            for value in config.values():
                yield from ours(value)
        elif isinstance(config, list):
            for value in config:
                yield from ours(value)

    folder, _ = saved
    names, classes = registration.names(), set()
    for name in BUILDERS:
        config = json.loads(zipfile.ZipFile(folder / f"{name}.keras").read("config.json"))
        for registered, module, class_name in ours(config):
            assert (registered, names[class_name]) == (f"keras_dl>{class_name}", module)
            classes.add(class_name)
    assert {"LSTM", "GRU", "Transition", "AttentionDecoder", "MultiHeadAttention", "SequenceLoss", "Noam"} <= classes


def test_every_class_that_is_registered_is_in_the_table():
    """A class that the search of the sources misses would load only after its module was imported."""
    for file in (ROOT / "keras_dl").rglob("*.py"):
        text = file.read_text()
        if file.name != "registration.py":
            assert text.count("register_keras_serializable(") == len(registration.REGISTERED.findall(text)), file
    for name, module in registration.names().items():
        cls = getattr(__import__(module, fromlist=[name]), name)
        assert keras.saving.get_registered_name(cls) == f"keras_dl>{name}"
        assert keras.saving.get_registered_object(f"keras_dl>{name}") is cls  # which took its stand-in's place


def test_the_import_is_light():
    program = (
        "import sys, time; began = time.process_time(); import keras_dl; "
        "print(time.process_time() - began, 'keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True).stdout.split()
        for _ in range(3)
    ]
    assert all(words[1:] == ["False", "False"] for words in outputs)
    assert min(float(words[0]) for words in outputs) < 0.2
