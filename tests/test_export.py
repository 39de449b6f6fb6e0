"""An export answers as the model does, is whole or not there, and says what it is."""

import errno
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import types
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_dl import cards, endpoints, errors, export, features, fresh_process, models, runs
from keras_dl.errors import Refused
from keras_dl.export import comparing, loading, saving, writing
from keras_dl.features.image import Image as ImageFeature
from keras_dl.features.image import Preprocess
from keras_dl.features.levels import Levels
from keras_dl.features.numbers import Number
from keras_dl.features.pictures import pixels as pixels_of

pytestmark = pytest.mark.usefixtures("loaded_once")
CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
SIDE = 12


def tiny(channels=1):
    """A model with the layers that a wrong training mode or wrong pre-processing shows in."""
    keras.utils.set_random_seed(7)
    image = keras.Input((SIDE, SIDE, channels), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(len(CLASSES), dtype="float32", name="logits")(x)
    model = keras.Model(image, x, name="tiny")
    for weight in model.get_layer("bn").weights:
        weight.assign(np.linspace(0.5, 2, 4))
    return model


def preprocessor(channels=1, border=10.0):
    return Preprocess((SIDE, SIDE, channels), (100.0,) * channels, (60.0,) * channels, border)


def pictures(n=5, height=8, width=8, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), np.uint8)


def a_run(root, number=1):
    path = root / "runs" / "classify_images" / f"tiny-noise-{number}"
    return runs.Run(path=path, root=root, name="tiny-noise", app="classify_images", seed=3, command="python app.py")


def all_endpoints(model):
    def draw(n, seed):
        return {"noise": tf.random.stateless_normal([n, 2], tf.stack([seed, 0]))}

    numbers = {"n": Number("int32", 3), "seed": Number("int32", 1)}
    sample = endpoints.Endpoint(draw, numbers, {"noise": features.Feature()})
    return {**export.classifier(model, preprocessor(), CLASSES, pictures()), "sample": sample}


def save(root, model=None, number=1, **options):
    """export.save with one endpoint, the one that is traced soonest."""
    model = model or tiny()
    raw = export.classifier(model, preprocessor(), CLASSES, pictures())["serve"]
    options = {"endpoints": {"serving_default": raw}, "metrics": {"accuracy": np.float32(0.5)}, **options}
    return export.save(model, a_run(root, number), **options)


def answer(model, preprocess, images):
    """The probabilities by the plain route."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(model(preprocess(images), training=False)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(root, version folder) of an export that was compared in a fresh process."""
    root = tmp_path_factory.mktemp("made")
    model = tiny()
    return root, save(root, model, endpoints=all_endpoints(model), card={"data": {"name": "noise"}})


def answers_in_this_process(folder, calls):
    """What the fresh process does, for tests of something else."""
    loaded, answers = tf.saved_model.load(str(folder)), {}
    for call, inputs in calls.items():
        given = {name: tf.constant(value) for name, value in inputs.items()}
        answer = loaded.signatures[call.split("/")[0]](**given)
        answers[call] = {name: value.numpy() for name, value in answer.items()}
    return answers


class Traced:
    """An endpoint's function as a SavedModel's signature: called with tensors by name, traced at the first call."""

    def __init__(self, endpoint):
        names = list(endpoint.inputs)
        self.function = tf.function(
            lambda *tensors: endpoint.function(**dict(zip(names, tensors, strict=True))),
            input_signature=endpoint.specs(), autograph=False,
        )  # fmt: skip
        self.names = names

    def __call__(self, **tensors):
        return self.function(*(tensors[name] for name in self.names))


def served_in_this_process(given):
    """An export.Export of endpoints that are not written: what it refuses and answers is an export's."""
    exported = object.__new__(loading.Export)
    exported.path = Path("in this process")
    exported.card = {
        "endpoints": {
            name: {
                "inputs": {
                    field: {"dtype": feature.dtype, "shape": list(feature.shape)}
                    for field, feature in endpoint.inputs.items()
                },
                "outputs": dict.fromkeys(endpoint.outputs),
            }
            for name, endpoint in given.items()
        }
    }
    exported._loaded = types.SimpleNamespace(signatures={name: Traced(one) for name, one in given.items()})
    return exported


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(fresh_process, "answers", answers_in_this_process)


def nothing_left(root):
    return not any((root / "saved_models").rglob("*")) if (root / "saved_models").is_dir() else True


# What it answers


@pytest.mark.parametrize("shape", [(5, 8, 8, 1), (1, 8, 8, 1), (3, SIDE, SIDE, 1), (2, 31, 5, 1), (0, 9, 9, 1)])
def test_raw_pictures_of_any_size_and_number_are_answered_as_the_model_does(made, shape):
    images = pictures(*shape, seed=sum(shape))
    got = export.load(made[1]).call("serve", image=images)
    wanted = answer(tiny(), preprocessor(), images) if len(images) else np.zeros((0, len(CLASSES)))
    np.testing.assert_allclose(got["probabilities"], wanted, atol=1e-6)
    order = np.argsort(-wanted, 1)[:, :5]
    assert got["classes"].tolist() == [[CLASSES[k].encode() for k in row] for row in order]
    np.testing.assert_allclose(got["scores"], np.take_along_axis(wanted, order, 1), atol=1e-6)
    assert got["class"].tolist() == [row[0] for row in got["classes"].tolist()]


def encoded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def on_white(rgba):
    alpha = rgba[..., 3:].astype(np.float64) / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def levels(pixels):
    return np.round(pixels).astype(np.uint8)


def kinds_of_picture():
    """{name: (bytes, the pixels in colour (h, w, 3))}, sizes unlike the model's."""
    colour, grey = pictures(1, 20, 15, 3)[0], pictures(1, 9, 30)[0, ..., 0]
    rgba = pictures(1, 10, 11, 4)[0]
    deep = np.random.default_rng(1).integers(0, 2**16, (14, 13)).astype(np.uint16)
    palette = Image.fromarray(colour).quantize(16)
    jpeg = encoded(Image.fromarray(colour), "JPEG")
    return {
        "png-colour": (encoded(Image.fromarray(colour), "PNG"), colour),
        "png-grey": (encoded(Image.fromarray(grey), "PNG"), np.repeat(grey[..., None], 3, 2)),
        "png-16bit": (encoded(Image.fromarray(deep), "PNG"), np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, 2)),
        "png-alpha": (encoded(Image.fromarray(rgba), "PNG"), on_white(rgba)),
        "png-palette": (encoded(palette, "PNG"), np.asarray(palette.convert("RGB"))),
        "bmp-colour": (encoded(Image.fromarray(colour), "BMP"), colour),
        "gif-colour": (encoded(palette, "GIF"), np.asarray(palette.convert("RGB"))),
        "gif-frames": (
            encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
            np.asarray(palette.convert("RGB")),
        ),
        "jpeg-colour": (jpeg, tf.io.decode_jpeg(jpeg).numpy()),  # decoders differ by a level or two
    }


@pytest.fixture(scope="module")
def in_colour():
    """(model, the function that answers encoded pictures) for three channels."""
    model = tiny(3)
    return model, tf.function(export.classifier(model, preprocessor(3), CLASSES)["serving_default"].function)


@pytest.mark.parametrize("kind", kinds_of_picture())
def test_encoded_pictures_are_answered_as_their_pixels_are(made, in_colour, kind):
    data, colour = kinds_of_picture()[kind]
    grey = levels(levels(colour) @ [[0.299], [0.587], [0.114]])
    got = export.load(made[1]).call(image_bytes=np.array([data, data], object))["probabilities"]
    wanted = answer(tiny(), preprocessor(), grey[None])
    np.testing.assert_allclose(got, np.repeat(wanted, 2, 0), atol=1e-6)

    model, function = in_colour
    got = function(tf.constant([data]))["probabilities"].numpy()
    np.testing.assert_allclose(got, answer(model, preprocessor(3), levels(colour)[None]), atol=1e-6)


def test_a_request_mixes_kinds_and_sizes(made):
    loaded, data = export.load(made[1]), [data for data, _ in kinds_of_picture().values()]
    together = loaded.call(image_bytes=np.array(data, object))["probabilities"]
    alone = [loaded.call(image_bytes=np.array([one], object))["probabilities"][0] for one in data]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(np.diff(together, axis=0)).max() > 1e-3  # the pictures are not all the same to it


def test_a_model_in_mixed_precision_is_exported(tmp_path, quick):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    model = tiny()
    got = export.load(save(tmp_path, model)).call(image=pictures())["probabilities"]
    np.testing.assert_allclose(got, answer(model, preprocessor(), pictures()), atol=1e-2)


def test_a_layer_of_augmentation_does_not_put_the_export_into_training_mode():
    plain = tiny()
    x = keras.layers.RandomFlip(name="flip")(plain.inputs[0])  # calls what follows with training=True unless told
    for layer in plain.layers[1:]:
        x = layer(x)
    augmented = keras.Model(plain.inputs, x)
    function = tf.function(export.classifier(augmented, preprocessor(), CLASSES)["serve"].function)
    for _ in range(2):
        got = function(tf.constant(pictures()))["probabilities"].numpy()
        np.testing.assert_allclose(got, answer(plain, preprocessor(), pictures()), atol=1e-6)


def test_the_classes_must_be_as_many_as_the_logits():
    with pytest.raises(ValueError, match="one logit a class; got 7 logits and 2 classes"):
        export.classifier(tiny(), preprocessor(), ["a", "b"])


# Its bounds


def png_that_says(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def jpeg_that_says(width, height):
    data = bytearray(encoded(Image.fromarray(pictures(1)[0, ..., 0]), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


TOO_LARGE = {
    "png": png_that_says(10_000, 10_000),
    "jpeg": jpeg_that_says(60_000, 60_000),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\1\1\0;",
    "bmp": b"BM" + bytes(16) + struct.pack("<ii", 10_000, 10_000) + bytes(40),
    "bmp-from-the-top": b"BM" + bytes(16) + struct.pack("<ii", 10_000, -10_000) + bytes(40),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_what_says_that_it_is_huge_is_refused_before_it_is_decoded(made, kind):
    with pytest.raises(Refused, match="a picture may have at most 33554432 pixels"):
        export.load(made[1]).call(image_bytes=np.array([TOO_LARGE[kind]], object))


def test_a_request_is_bounded(made):
    loaded = export.load(made[1])
    small = kinds_of_picture()["png-grey"][0]
    with pytest.raises(Refused, match="a picture may have at most 33554432 bytes"):
        loaded.call(image_bytes=np.array([small + bytes(2**25)], object))
    with pytest.raises(Refused, match="a request may have at most 1024 pictures"):
        loaded.call(image_bytes=np.array([small] * 1025, object))
    with pytest.raises(Refused, match="a request may have at most 1024 pictures"):
        loaded.call("serve", image=np.zeros((1025, 2, 2, 1), np.uint8))
    with pytest.raises(Refused, match="a picture may have at most 33554432 pixels"):
        loaded.call("serve", image=np.zeros((1, 1, 2**25 + 1, 1), np.uint8))


@pytest.mark.parametrize("kind", kinds_of_picture())
def test_the_size_is_read_from_the_header(kind):
    data, colour = kinds_of_picture()[kind]
    assert pixels_of(tf.constant(data)).numpy() == colour.shape[0] * colour.shape[1]


@pytest.mark.parametrize("data", [b"", b"text", encoded(Image.fromarray(pictures(1)[0, ..., 0]), "PNG")[:-30]])
def test_what_is_no_picture_is_refused(made, data):
    with pytest.raises(Refused):
        export.load(made[1]).call(image_bytes=np.array([data], object))


# Whole or not there


def test_the_next_free_version_is_taken(tmp_path, quick):
    base = tmp_path / "saved_models" / "tiny-noise"
    for name in ("1", "7", "notes"):
        (base / name).mkdir(parents=True)
    (base / "12").write_text("a file is no version")
    assert save(tmp_path) == base / "8"


def test_a_version_lost_in_a_race_takes_the_next(tmp_path, quick, monkeypatch):
    rename = os.rename

    def too_late(source, place):
        if Path(place).name == "1":
            (Path(place) / "variables").mkdir(parents=True)
        rename(source, place)

    monkeypatch.setattr(saving.os, "rename", too_late)
    folder = save(tmp_path)
    assert folder.name == "2" and not (folder.parent / "1" / cards.CARD).exists()
    card = cards.read(folder)
    assert card["version"] == 2 and card["call"]["predict"].split()[4] == str(folder)


@pytest.mark.slow
def test_a_save_that_is_killed_before_the_rename_leaves_no_version_and_the_next_one_cleans_up(tmp_path, quick):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import keras_dl, os, signal, pathlib, test_export as t\n"
        "t.fresh_process.answers = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.save(pathlib.Path(sys.argv[2]))"
    )
    here = Path(__file__).parent
    killed = subprocess.run([sys.executable, "-c", code, str(here), str(tmp_path)], cwd=here.parent)
    assert killed.returncode == -signal.SIGKILL
    base = tmp_path / "saved_models" / "tiny-noise"
    (left,) = base.iterdir()
    assert left.name.startswith(".") and (left / "export" / cards.SAVED_MODEL).exists()
    assert cards.exports_below(tmp_path / "saved_models") == []
    (base / ".saving-of-another-run").mkdir()
    save(tmp_path)
    assert sorted(path.name for path in base.iterdir()) == [".saving-of-another-run", "1"]


def test_a_resumed_run_gets_the_export_that_it_has_made(tmp_path, quick):
    first = save(tmp_path)
    stamp = (first / cards.CARD).read_bytes()
    (first.parent / f"{saving.folder_aside({'run': 'runs/classify_images/tiny-noise-1'})}x").mkdir()
    assert save(tmp_path) == first
    assert (first / cards.CARD).read_bytes() == stamp and [p.name for p in first.parent.iterdir()] == ["1"]
    assert save(tmp_path, number=2).name == "2"  # another run
    trained_on = tiny()
    trained_on.get_layer("logits").bias.assign(np.arange(7.0))
    assert save(tmp_path, trained_on).name == "3"  # the same run with more epochs
    assert save(tmp_path, trained_on).name == "3"


def test_a_fresh_process_without_our_code_answers(made, monkeypatch, tmp_path):
    monkeypatch.setattr(fresh_process.subprocess, "run", lambda *a, **k: _Failed())
    with pytest.raises(RuntimeError, match="does not work in a fresh process:\nwhy"):
        save(tmp_path)
    assert nothing_left(tmp_path)


@pytest.mark.slow
def test_tensorflow_is_found_as_here_and_any_path_is_taken_literally(tmp_path, monkeypatch):
    """An interpreter that finds TensorFlow on a path that was added to it; a working folder with other modules."""
    strange = tmp_path / "my pics [2024] a**b \\d?"
    strange.mkdir()
    (strange / "numpy.py").write_text("raise ImportError('the working folder was searched')")
    monkeypatch.chdir(strange)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setattr(sys, "executable", sys._base_executable)
    monkeypatch.setenv("PYTHONPATH", ".")
    folder = save(Path("."))
    wanted = answer(tiny(), preprocessor(), pictures())
    np.testing.assert_allclose(export.load(folder).call(image=pictures())["probabilities"], wanted, atol=1e-6)
    lines = cards.how_to_call(folder.absolute(), cards.read(folder))["python"]
    exec(lines.partition("answer")[0], {})


def test_an_export_is_not_taken_for_a_neighbour_that_its_path_matches(tmp_path, quick):
    plain, strange = tmp_path / "p1", tmp_path / "p[12]"
    other = tiny()
    other.get_layer("logits").bias.assign(np.arange(7.0))
    save(plain, other)
    shutil.copytree(save(tmp_path / "own").parent, strange / "saved_models" / "tiny-noise")
    got = export.load(strange / "saved_models" / "tiny-noise").call(image=pictures())["probabilities"]
    np.testing.assert_allclose(got, answer(tiny(), preprocessor(), pictures()), atol=1e-6)


class _Failed:
    returncode, stderr = 1, b"why"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("honest", "other", "complaint"),
    [
        ("value.numpy()", "(value.numpy() + 2e-5 if name == 'scores' else value.numpy())", "size 5: scores must be"),
        ("import tensorflow as tf\n", "import tensorflow as tf, keras_dl\n", "import of keras_dl halted"),
    ],
)
def test_the_fresh_process_catches_a_wrong_export(tmp_path, monkeypatch, honest, other, complaint):
    assert honest in fresh_process.RELOAD
    monkeypatch.setattr(fresh_process, "RELOAD", fresh_process.RELOAD.replace(honest, other))
    with pytest.raises(RuntimeError, match=complaint):
        save(tmp_path)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("gap", [0.9e-5, 1.1e-5])
def test_the_tolerance(gap):
    assert comparing.equal(np.ones(3), np.array([1, 1 + gap, 1])) == (gap < 1e-5)


@pytest.mark.parametrize(
    "there", [np.ones((2, 1)), None, np.array([1, np.nan]), np.array([np.inf, 1])], ids=["shape", "none", "nan", "inf"]
)
def test_what_is_not_the_same_is_not_equal(there):
    assert comparing.equal(np.ones(2), np.ones(2)) and not comparing.equal(np.ones(2), there)


def test_names_must_be_the_same():
    names = np.array([b"ant", b"bee"], object)
    assert comparing.equal(names, names.copy()) and not comparing.equal(names, names[::-1])


@pytest.mark.parametrize("layer", ["dropout", "bn"])
def test_an_endpoint_in_training_mode_is_caught(tmp_path, quick, layer):
    model = tiny()
    model.get_layer("bn").trainable = layer == "bn"  # else it stays in inference mode
    part = keras.Model(model.inputs, model.get_layer(layer).output)

    def leaking(image):
        return {"features": part(preprocessor()(image), training=True)}

    wrong = endpoints.Endpoint(leaking, {"image": ImageFeature(preprocessor())}, {"features": features.Feature()})
    with pytest.raises(RuntimeError, match="an endpoint changes the model"):
        save(tmp_path, model, endpoints={"serving_default": wrong})
    assert nothing_left(tmp_path)


def test_every_endpoint_is_compared_for_one_row_and_for_several():
    """Also those whose rows a number counts: sampling is asked for its default number of pictures, and for one."""
    levels = Levels((4, 4, 1), 2)
    adversarial = models.build_gan((4, 4, 1), units=(3,), maxout_units=(2,), pieces=2, latent_dim=2)
    density = models.build_pixelcnn((4, 4, 1), 2, output="bernoulli", num_blocks=1, filters=2, top_filters=())
    for served in (
        export.adversarial(adversarial, Levels((4, 4, 1))),
        export.density(density, levels, (), "threshold"),
        export.autoencoder(models.build_vae((4, 4, 1), latent_dim=2, units=(3,)), levels),
    ):
        calls = saving._calls(served)
        for name, endpoint in served.items():
            of_it = {int(call.split("/")[1]): given for call, given in calls.items() if call.startswith(f"{name}/")}
            assert 1 in of_it and len(of_it) == 2, (name, list(of_it))
            for size, given in of_it.items():
                assert all(
                    given[field].dtype == each.dtype for field, each in endpoint.inputs.items() if not each.shape
                )
                lengths = {len(value) for value in given.values() if value.ndim} or {int(given["n"])}
                assert lengths == {size}


def test_serving_default_comes_first(tmp_path):
    given = all_endpoints(tiny())
    with pytest.raises(ValueError, match="first endpoint must be serving_default; got serve"):
        save(tmp_path, endpoints={"serve": given["serve"]})


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, quick):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = tiny()
    for limit in (4_000, 25_000):  # within the variables, within the SavedModel
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(errors.UserError, match=r"^export.save: .*tiny-noise cannot be written: File too large"):
                save(tmp_path, model)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert nothing_left(tmp_path)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "saved_models").write_text("a file")
    with pytest.raises(errors.UserError, match=r"cannot be written: (Not a directory|File exists)"):
        save(tmp_path)


def test_an_error_of_ours_is_no_full_disk():
    with pytest.raises(FileNotFoundError), writing.writing("x"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


# What it says of itself


def test_the_card_says_what_it_is(made):
    root, folder = made
    card = json.loads((folder / cards.CARD).read_text())
    assert folder == root / "saved_models" / "tiny-noise" / "1"
    assert card["run"] == "runs/classify_images/tiny-noise-1"
    assert card["metrics"] == {"accuracy": 0.5} and card["seed"] == 3 and card["data"] == {"name": "noise"}
    # conv 9 * 4 + 4, bn 2 * 4 and as many that are not trained, logits 10 * 10 * 4 * 7 + 7
    assert card["parameters"] == {"trainable": 40 + 8 + 2807, "all": 40 + 16 + 2807}
    config = json.loads(json.dumps(preprocessor().config()))
    assert card["features"]["class"] == {"classes": list(CLASSES)}
    assert card["features"]["image_bytes"] | {"kind": "image"} == config
    assert card["versions"]["keras"] == keras.__version__
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.name != cards.CARD}
    assert card["files"] == {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items()}
    assert {"saved_model.pb", "model.keras"} <= set(files)


def test_the_card_has_the_signatures_of_the_saved_model(made):
    loaded = tf.saved_model.load(str(made[1]))
    said = cards.read(made[1])["endpoints"]
    assert list(said) == ["serving_default", "serve", "sample"] and set(said) == set(loaded.signatures)
    for name, endpoint in said.items():
        signature = loaded.signatures[name]
        there = {"inputs": signature.structured_input_signature[1], "outputs": signature.structured_outputs}
        for way, specs in there.items():
            shapes = {field: (spec.dtype.name, spec.shape.as_list()) for field, spec in specs.items()}
            assert {field: (spec["dtype"], spec["shape"]) for field, spec in endpoint[way].items()} == shapes
    image = {"kind": "image", "dtype": "uint8", "shape": [None, None, None, 1], "feature": "image_bytes"}
    assert said["serve"]["inputs"]["image"] == image
    assert said["sample"]["inputs"]["seed"] == {"kind": "number", "dtype": "int32", "shape": [], "default": 1}


def test_the_three_lines_of_python_work(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "PICTURE.png").write_bytes(kinds_of_picture()["png-grey"][0])
    names = {}
    exec(cards.read(made[1])["call"]["python"], names)
    assert names["answer"]["class"].numpy()[0].decode() in CLASSES


def test_the_keras_file_is_the_model(made):
    model = keras.models.load_model(made[1] / "model.keras")
    np.testing.assert_array_equal(
        answer(model, preprocessor(), pictures(3)), answer(tiny(), preprocessor(), pictures(3))
    )


def test_the_graph_is_in_tensorboard(made):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(a_run(made[0]).tensorboard / "train")).Reload()
    [written] = events.Tensors("export/serving_default")
    traced = tf.compat.v1.RunMetadata.FromString(tf.make_ndarray(written.tensor_proto).item())
    names = {node.name for node in traced.function_graphs[0].pre_optimization_graph.node}
    assert {"image_bytes", "Softmax"} <= names and any("tiny" in name and "conv" in name for name in names)


# Loading it


@pytest.fixture
def a_copy(made, tmp_path):
    shutil.copytree(made[0] / "saved_models", tmp_path / "saved_models")
    return tmp_path / "saved_models" / "tiny-noise" / "1"


def test_the_folder_of_the_name_means_its_newest_version(a_copy):
    shutil.copytree(a_copy, a_copy.parent / "10")
    shutil.copytree(a_copy, a_copy.parent / "9")
    assert export.load(a_copy.parent).path == a_copy.parent / "10"
    assert export.load(str(a_copy)).path == a_copy


def broken_card(folder):
    (folder / cards.CARD).write_text('{"name": "half a')


def other_json(folder):
    (folder / cards.CARD).write_text("[1, 2]")


def cut_variables(folder):
    path = next(folder.glob("variables/*data*"))
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: shutil.rmtree(folder.parent), r"no such export folder. Exports there: none"),
        (shutil.rmtree, "an export must have a SavedModel"),
        (lambda folder: (folder / "saved_model.pb").unlink(), "an export must have a SavedModel"),
        (lambda folder: (folder / cards.CARD).unlink(), "an export must have a card; there is no card.json"),
        (broken_card, r"card.json is damaged: Unterminated string"),
        (other_json, r"card.json is damaged: expected `object`, got `array`"),
        (cut_variables, r"data-\S+: is not the one that export.save wrote; the export is damaged"),
        (lambda folder: (folder / "variables" / "variables.index").unlink(), "variables.index: is missing"),
    ],
)
def test_what_is_no_export_is_said_in_one_line(a_copy, harm, said):
    harm(a_copy)
    with pytest.raises(errors.UserError, match=said) as mistake:
        export.load(a_copy.parent)
    assert "\n" not in str(mistake.value)


def test_a_missing_folder_names_the_exports_that_are_there(a_copy):
    for wrong in (a_copy.parent / "5", a_copy.parent.parent / "tiny-nois"):
        with pytest.raises(errors.UserError, match=f"{wrong}: no such export folder. Exports there: {a_copy}."):
            export.load(wrong)


def test_calling_it_wrongly_names_what_is_right(made):
    loaded = export.load(made[1])
    with pytest.raises(errors.UserError, match="no endpoint 'serv'. There are: serving_default, serve, sample."):
        loaded.call("serv", image=pictures())
    with pytest.raises(errors.UserError, match="endpoint serve takes image; got pixels"):
        loaded.call("serve", pixels=pictures())
    with pytest.raises(errors.UserError, match=r"no endpoint \[\]. There are"):
        loaded.call([], image=pictures())


def test_what_an_endpoint_refuses_is_said_in_its_own_sentence(made):
    with pytest.raises(Refused) as refused:
        export.load(made[1]).call(image_bytes=[b""])
    sentence = "a picture must be JPEG, PNG, GIF, BMP or WebP; got no bytes"
    assert str(refused.value) == f"{made[1]}: endpoint serving_default refuses the request: {sentence}."
    assert refused.value.sentence == sentence


@pytest.mark.parametrize(
    ("pixels", "complaint"),
    [
        (pictures().astype(np.int64) + 256, "image must be uint8: from 0 to 255; got 256 to "),
        (pictures().astype(np.int64) - 300, "image must be uint8: from 0 to 255; got -300 to "),
        (pictures() / 255, "image must be uint8: whole numbers; got float64"),
        (pictures() * 1j, "image must be uint8: real numbers; got complex"),
        (np.full((1, 4, 4, 3), np.nan), "image must be uint8: whole numbers; got float64"),
    ],
)
def test_numbers_that_an_endpoint_cannot_hold_are_refused_and_not_wrapped(made, pixels, complaint):
    with pytest.raises(errors.UserError, match=complaint):
        export.load(made[1]).call("serve", image=pixels)


@pytest.mark.parametrize(
    ("value", "dtype", "fits"),
    [
        (2**31 - 1, "int32", True), (2**32 + 7, "int32", False), (np.int64(2**32 + 7), "int32", False),
        ([1, 0], "uint8", True), (np.array([True]), "uint8", True), (np.array([], np.float64), "uint8", True),
        (1, "float32", True), (1e300, "float32", False), (np.inf, "float32", True), (0.5, "int64", False),
        ("words", "string", True), (np.zeros(2), "bfloat16", True), (True, "bool", True),
    ],
)  # fmt: skip
def test_what_an_input_can_hold(value, dtype, fits):
    if fits:
        assert loading.exactly(value, tf.as_dtype(dtype)) is value
    else:
        with pytest.raises(ValueError, match="from|whole numbers"):
            loading.exactly(value, tf.as_dtype(dtype))
