"""Files of other formats answer as the SavedModel does, have names, and say what they are; so do their programs."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_export as exports
from test_endpoints_text import BUILDERS as TEXT_BUILDERS
from test_endpoints_text import LETTERS, WORDS
from test_export import quick as quick  # a fixture

from keras_dl import cards, endpoints, errors, export, formats, models
from keras_dl.endpoints import images
from keras_dl.features import resampling
from keras_dl.features.image import Preprocess
from keras_dl.features.piano_roll import PianoRoll
from keras_dl.formats import litert, onnx_files, snippets

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {"onnx": onnx_files, "litert": litert}
HIDDEN = {"onnx": ("tensorflow", "keras", "keras_dl"), "litert": ("keras_dl",)}  # LiteRT's runtime may be TensorFlow's
SIDE, CHANNELS = 16, 3
PREPROCESS = Preprocess((SIDE, SIDE, CHANNELS), (120.0, 110.0, 100.0), (60.0, 50.0, 70.0), 10.0, "crop")
IMAGE_BUILDERS = {
    "resnet_cifar": {"depth": 8},
    "mlp": {"units": (8,)},
    "convnet": {},
    "linear": {},
    "resnet": {"depth": 18},
}
ABOUT = {"name": "tiny", "source": "noise", "licence": "CC BY 4.0", "counts": {"train": 60, "test": 2_000}}


def network(name, shape=PREPROCESS.input_shape):
    keras.utils.set_random_seed(3)
    return getattr(models, f"build_{name}")(shape, len(exports.CLASSES), **IMAGE_BUILDERS[name])


def pictures(n=3, height=SIDE, width=SIDE, channels=CHANNELS):
    return exports.pictures(n, height, width, channels, seed=n)


def saved(root, model, formats, preprocess=PREPROCESS, **options):
    served = export.classifier(model, preprocess, exports.CLASSES, pictures(channels=preprocess.input_shape[2]))
    given = {"endpoints": {"serving_default": served["serve"]}, "card": {"data": ABOUT}, **options}
    return exports.save(root, model, formats=formats, **given)


def run(program, folder, hidden, then=""):
    """Run a program in `folder`, in a fresh process in which some packages cannot be imported; what it prints."""
    hide = f"import sys\nsys.modules.update(dict.fromkeys({hidden!r}))\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{hide}{program}\n{then}"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Pictures


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGE_BUILDERS)
def test_a_file_of_every_builder_answers_as_the_saved_model_does(name, tmp_path, quick):
    folder = saved(tmp_path, network(name), ("onnx", "litert"))
    loaded = export.load(folder)
    for kind, room in ROOMS.items():
        for n in (1, 4):
            image = pictures(n)
            got = room.answers(folder / formats.FILES[kind], {"image": image})
            wanted = loaded.call("serving_default", image=image)["probabilities"]
            assert got.keys() == {"logits", "probabilities"}
            np.testing.assert_allclose(got["probabilities"], wanted, atol=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An export of a convolutional network in all formats."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports.fresh_process, "answers", exports.answers_in_this_process)
        return saved(tmp_path_factory.mktemp("formats"), network("convnet"), ("litert", "onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROOMS)
def test_the_cards_program_gives_the_saved_models_answer(folder, kind, tmp_path):
    """In a process that has NumPy and the runtime, and none of our code; ONNX without TensorFlow."""
    image = pictures(5)
    np.save(tmp_path / "pictures.npy", image)
    program = cards.read(folder)["call"][kind]
    printed = run(program, tmp_path, HIDDEN[kind], 'np.save("answer.npy", answer["probabilities"])')
    wanted = export.load(folder).call("serving_default", image=image)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), wanted["probabilities"], atol=1e-4)
    assert [line.split()[0] for line in printed.splitlines()] == [name.decode() for name in wanted["class"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROOMS)
def test_a_file_says_what_it_is(folder, kind):
    """Names of inputs and outputs, class names, and the numbers of the pre-processing, which are the card's."""
    about, card = ROOMS[kind].metadata(folder / formats.FILES[kind]), cards.read(folder)
    assert about["classes"] == list(exports.CLASSES)
    assert about["preprocess"] == {"kind": "image", **card["features"]["image"]}
    assert about["inputs"] == {"image": {"dtype": "uint8", "shape": [None, None, None, CHANNELS]}}
    assert about["outputs"].keys() == {"logits", "probabilities"}
    for mean in PREPROCESS.mean:
        assert f"{mean:g}" in about["inside"]
    assert about["licence"] == card["licence"] == "CC BY 4.0" and about["not_for"] == card["not_for"]
    assert about["trained_on"] == card["trained_on"] and about["metrics"] == {"accuracy": 0.5}


@pytest.mark.slow
def test_names_in_the_files_themselves(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    assert [value.name for value in session.get_inputs()] == ["image"]
    assert {value.name for value in session.get_outputs()} == {"logits", "probabilities"}
    signatures = tf.lite.Interpreter(str(folder / "model.tflite")).get_signature_list()
    assert signatures["serving_default"]["inputs"] == ["image"]
    assert set(signatures["serving_default"]["outputs"]) == {"logits", "probabilities"}
    with zipfile.ZipFile(folder / "model.tflite") as archive:
        assert archive.read("labels.txt").decode().split("\n") == [*exports.CLASSES, ""]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROOMS)
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_another_size_is_resized_inside(tmp_path, quick, kind, fit):
    """Up to the rounding of a pixel to the next level: other sums are in another order."""
    preprocess = Preprocess((8, 6, 1), (100.0,), (60.0,), 10.0, fit)
    model = network("linear", (8, 6, 1))
    folder = saved(tmp_path, model, (kind,), preprocess)
    loaded = export.load(folder)
    for height, width in ((8, 6), (31, 17), (5, 40), (3, 3)):
        image = pictures(2, height, width, 1)
        got = ROOMS[kind].answers(folder / formats.FILES[kind], {"image": image})["probabilities"]
        wanted = loaded.call("serving_default", image=image)["probabilities"]
        np.testing.assert_allclose(got, wanted, atol=1e-4 if (height, width) == (8, 6) else 5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROOMS)
@pytest.mark.parametrize("wrong", [{"mean": (121.0, 110.0, 100.0)}, {"std": (60.0, 50.0, 71.0)}])
def test_a_file_with_other_pre_processing_is_refused(tmp_path, quick, monkeypatch, kind, wrong):
    config = {name: value for name, value in PREPROCESS.config().items() if name != "kind"} | wrong

    def steps(model, preprocess, names, examples):
        return honest(model, Preprocess(**config), names, examples)

    honest = images.portable
    monkeypatch.setattr(images, "portable", steps)
    with pytest.raises(RuntimeError, match="answers otherwise than the SavedModel: probabilities, by 0.0"):
        saved(tmp_path, network("linear"), (kind,))
    assert exports.nothing_left(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROOMS)
def test_a_wrong_file_is_refused(tmp_path, quick, monkeypatch, kind):
    honest = ROOMS[kind].answers

    def wrong(path, given):
        return {name: value + np.float32(1e-2) for name, value in honest(path, given).items()}

    monkeypatch.setattr(ROOMS[kind], "answers", wrong)
    with pytest.raises(RuntimeError, match="answers otherwise than the SavedModel"):
        saved(tmp_path, network("linear"), (kind,))
    assert exports.nothing_left(tmp_path)


@pytest.mark.slow
def test_an_export_that_has_the_formats_is_not_written_again(tmp_path, quick):
    model = network("linear")
    folder = saved(tmp_path, model, ("litert", "onnx"))
    assert cards.read(folder)["formats"] == ["litert", "onnx"]
    assert saved(tmp_path, model, ()) == folder  # has more than was asked for
    assert saved(tmp_path, model, ("onnx",)) == folder


def test_a_name_that_is_not_utf_8_can_stand_in_an_onnx_file():
    text = onnx_files.as_json({"trained_on": "folder \udcff é"})
    assert json.loads(text) == {"trained_on": "folder \udcff é"} and "é".encode() in text.encode()


# Resizing


@pytest.mark.parametrize("size", [(7, 9), (5, 5), (12, 3), (20, 31)])
@pytest.mark.parametrize("shape", [(2, 9, 7, 3), (1, 40, 23, 1), (1, 5, 5, 2)])
def test_two_products_are_the_resizing_of_tensorflow(shape, size):
    image = exports.pictures(*shape)
    got = resampling.by_products(tf.constant(image), size).numpy()
    np.testing.assert_allclose(got, tf.image.resize(image, size, antialias=True).numpy(), atol=1e-3)


def test_a_picture_of_the_right_size_is_not_changed_by_a_bit():
    image = exports.pictures(2, 33, 21, 3)
    np.testing.assert_array_equal(resampling.by_products(tf.constant(image), (33, 21)).numpy(), image)


@pytest.mark.parametrize("of", range(1, 40, 3))
def test_weights_are_means(of):
    np.testing.assert_allclose(resampling.weights(of, 7).numpy().sum(1), 1, rtol=1e-6)


# Sequences


def sequences_saved(root, model, score, formats):
    return export.save(model, exports.a_run(root), endpoints={"serving_default": score}, metrics={}, formats=formats)


def text_export(root, kind, tokens, formats):
    keras.utils.set_random_seed(1)
    model = TEXT_BUILDERS[kind](len(tokens.vocabulary))
    score = export.language_model(model, tokens, "a")["score"]
    return sequences_saved(root, model, score, formats)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tokens", "name", "text"),
    [
        ("transformer_lm", LETTERS, "litert", "abcab"),
        ("gru", WORDS, "onnx", "the cat\nthe pig"),
        ("lstm", LETTERS, "onnx", "abba\ncab"),
        ("transformer_lm", LETTERS, "onnx", "abcab"),
    ],
)
def test_a_text_has_the_likelihood_that_the_saved_model_gives_it(tmp_path, quick, kind, tokens, name, text):
    folder = text_export(tmp_path, kind, tokens, (name,))
    program = cards.read(folder)["call"][name].replace('"some text"', json.dumps(text))
    printed = run(program, tmp_path, HIDDEN[name]).split()
    answer = export.load(folder).call("serving_default", text=[text.encode()])
    assert float(printed[0]) == pytest.approx(float(answer["log_likelihood"][0]), abs=1e-4)
    assert int(printed[3]) == answer["tokens"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda: models.build_lstm(units=(5, 4)),
        lambda: models.build_gru(units=(5,)),
        lambda: models.build_rnn(units=(5,), transition_units=(4,), shortcut=True),
    ],
    ids=["lstm", "gru", "rnn"],
)
def test_a_piece_has_the_likelihood_that_the_saved_model_gives_it(tmp_path, quick, build):
    keras.utils.set_random_seed(1)
    model, roll = build(), np.random.default_rng(0).integers(0, 2, (3, 9, 88)).astype(np.uint8)
    score = export.polyphony(model, PianoRoll(), roll[:2, :5], steps_per_beat=2)["score"]
    folder = sequences_saved(tmp_path, model, score, ("onnx",))
    np.save(tmp_path / "roll.npy", roll)
    keep = 'np.save("answer.npy", answer["log_likelihood"])'
    run(cards.read(folder)["call"]["onnx"], tmp_path, HIDDEN["onnx"], keep)
    wanted = export.load(folder).call("serving_default", roll=roll, steps=np.full(3, 9))["log_likelihood"]
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), wanted, rtol=1e-5)


# What cannot be had


def test_an_unknown_format_or_a_missing_package_is_said_before_anything_is_made(tmp_path, monkeypatch):
    with pytest.raises(errors.UserError, match="no format 'onx'. There are: onnx, litert."):
        exports.save(tmp_path, formats=("onx",))
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else name)
    with pytest.raises(errors.UserError, match=r"onnx needs tf2onnx: pip install 'keras_dl\[onnx\]'"):
        exports.save(tmp_path, formats=("onnx",))
    assert exports.nothing_left(tmp_path)


def test_an_export_of_strings_says_why_it_has_no_other_format():
    served = {"serving_default": endpoints.Endpoint(None, {}, {}, portable="strings go in")}
    with pytest.raises(errors.UserError, match="^export.save: litert: strings go in. Go on without --formats.$"):
        formats.try_out(("litert",), lambda model: served, None)
    formats.try_out((), lambda model: 1 / 0, None)  # nothing asked for, nothing done


def test_a_model_in_half_precision_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, dtype="mixed_bfloat16")])
    served = {"serving_default": endpoints.Endpoint(None, {}, {}, portable=endpoints.Portable(None, {}, {}))}
    with pytest.raises(errors.UserError, match="onnx: the model must compute in float32; got mixed_bfloat16. Take"):
        formats.write(["onnx"], served, model, {}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_that_litert_cannot_run_is_said_in_one_line(tmp_path):
    image = keras.Input((SIDE, SIDE, 1), name="image")
    rows = keras.layers.Reshape((SIDE, SIDE), name="rows")(image)
    recurrent = keras.layers.LSTM(4, name="lstm")(rows)
    model = keras.Model(image, keras.layers.Dense(len(exports.CLASSES), name="logits")(recurrent))
    with pytest.raises(errors.UserError, match="cannot be converted to LiteRT"):
        saved(tmp_path, model, ("litert",), Preprocess((SIDE, SIDE, 1), (100.0,), (60.0,), 10.0))
    assert exports.nothing_left(tmp_path)


# docs/serving.md


def test_the_programs_in_the_docs_are_those_of_a_card():
    digits = Preprocess((28, 28, 1), (70.0,), (90.0,), 10.0)
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    portable = images.portable(model, digits, [str(digit) for digit in range(10)], None)
    programs = snippets.of(Path("saved_models/convnet-digits/1"), portable, ROOMS)
    blocks = re.findall(r"```python\n(.*?)\n```", (ROOT / "docs" / "serving.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks[1:] == [programs["onnx"], programs["litert"]]  # the first one completes pictures
