"""Laws of features: what is written is read again, a card's config makes the feature again, a new kind is one class."""

import base64
import json
import subprocess
import sys
import typing

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_export as exports

from keras_dl import __main__ as command
from keras_dl import cards, data, errors, export, features, fresh_process, models, runs
from keras_dl.endpoints import Endpoint
from keras_dl.features import Feature, Source
from keras_dl.features.audio import Audio, EncodedAudio
from keras_dl.features.classes import BestLabels, Label, Probabilities
from keras_dl.features.image import EncodedImage, Image
from keras_dl.features.latent import Latent
from keras_dl.features.likelihoods import PictureBits, PictureNats
from keras_dl.features.mask import Mask
from keras_dl.features.masks import ClassVolumes, LabelMask, LabelVolume
from keras_dl.features.numbers import Nats, Number
from keras_dl.features.piano_roll import PianoRoll, Roll
from keras_dl.features.sentences import Sentence, TargetSentence
from keras_dl.features.subwords import SPECIAL, WORD, Subwords
from keras_dl.features.text import Text
from keras_dl.features.tokens import Tokens
from keras_dl.features.volumes import SpacedVolume

TOKENS, SUBWORDS = Tokens("character", ("\ufffd", "\n", "a", "b")), Subwords((*SPECIAL, WORD, "a", "b"))
# One feature of every kind whose config says something.
SAID = {
    "image": Image(exports.preprocessor(3)),
    "image_bytes": EncodedImage(exports.preprocessor()),
    "mask": Mask(5, 4),
    "label_mask": LabelMask(("ant", "bee")),
    "label_volume": LabelVolume(("ant", "bee")),
    "cubic_millimetres": ClassVolumes(("ant", "bee")),
    "latent": Latent(3),
    "class": Label(("ant", "bee")),
    "classes": BestLabels(("ant", "bee")),
    "probabilities": Probabilities(("ant", "bee")),
    "text": Text(TOKENS),
    "sentence": Sentence(subwords=SUBWORDS),
    "sentence_target": TargetSentence(subwords=SUBWORDS),
    "audio": Audio(8000, 65_536),
    "audio_bytes": EncodedAudio(16_000),
    "roll": Roll(4, 90.0),
    "volume": SpacedVolume((5, 4, 3, 1), (1.0, 1.0, 2.0)),
    "number": Number("int32", 7),
    "nats_per_image": PictureNats("fixed"),
    "bits_per_dimension": PictureBits("resampled"),
}


@pytest.mark.parametrize("kind", features.KINDS)
def test_every_kind_is_a_row_of_the_table(kind):
    cls = features.feature_class(kind)
    assert issubclass(cls, Feature) and cls.kind == kind and cls.__doc__


@pytest.mark.parametrize("kind", features.KINDS)
def test_a_config_makes_the_feature_again(kind):
    feature = SAID.get(kind) or features.feature_class(kind)()
    config = json.loads(json.dumps(feature.config()))
    again = features.from_config(kind, config, "card.json")
    assert type(again) is type(feature) and json.loads(json.dumps(again.config())) == config
    assert again.spec("x") == feature.spec("x")
    assert bool(typing.get_type_hints(feature.CONFIG)) == (kind in SAID), "a config that says something is in SAID"


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("image", {}, "input_shape"),
        ("image_bytes", {"input_shape": [2, 2, 1], "mean": [0.0], "std": ["x"], "border": 0.0}, "std"),
        ("image", {"input_shape": [2, 2, 1], "mean": [0.0], "std": [1.0], "border": 0.0, "fit": "zoom"}, "fit"),
        ("text", {"level": "character", "vocabulary": ["a"]}, "vocabulary must have"),
        ("text", {"level": "word"}, "vocabulary"),
        ("sentence", {"pieces": ["a"]}, "pieces must begin with"),
        ("roll", {"steps_per_beat": 0}, "steps_per_beat"),
        ("class", {"classes": "ant"}, "classes"),
    ],
)
def test_a_damaged_config_is_one_line_that_names_the_field(kind, config, field):
    with pytest.raises(errors.UserError) as error:
        features.from_config(kind, config, "card.json: features.x")
    text = str(error.value)
    assert text.startswith("card.json: features.x is damaged: ") and field in text and "\n" not in text


def values_of(kind):
    """What the feature of that kind may be asked to write."""
    rng = np.random.default_rng(0)
    if kind == "image":
        return [rng.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in ((1, 1), (7, 3), (12, 12))]
    if kind == "latent":
        return [rng.normal(size=3).astype("float32"), np.zeros(3, "float32"), np.array([1e-30, -3e38, 7], "float32")]
    if kind == "audio":
        return [(rng.integers(-(2**15), 2**15, size) / 2**15).astype(np.float32) for size in (1, 7, 300)]
    if kind == "label_mask":
        return [rng.integers(0, 256, size).astype(np.uint8) for size in ((1, 1), (7, 3), (12, 12))]
    if kind == "label_volume":
        return [rng.integers(0, 256, size).astype(np.uint8) for size in ((1, 1, 1), (5, 4, 3), (2, 7, 9))]
    if kind == "volume":
        return [rng.normal(size=size).astype(np.float32) for size in ((1, 1, 1), (5, 4, 3), (2, 7, 9))]
    if kind == "roll":
        rolls = [(rng.random((steps, 88)) < 0.2).astype(np.uint8) for steps in (1, 5, 40)]
        for roll in rolls:
            roll[-1, 40] = 1  # of silence at a piece's end a MIDI file keeps nothing
        return rolls
    return ["ab", "a\nb\n\na", "grün \U0001f600"]


@pytest.mark.parametrize("kind", [kind for kind in features.KINDS if features.feature_class(kind).written_as])
def test_what_is_written_is_read_again(kind, tmp_path):
    if kind == "roll":
        pytest.importorskip("pretty_midi", reason="extra [music] is not installed")
    if kind == "audio":
        pytest.importorskip("soundfile", reason="extra [signals] is not installed")
    if kind in ("volume", "label_volume"):
        pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    feature = SAID[kind]
    for suffix in feature.written_as:
        for number, value in enumerate(values_of(kind)):
            path = tmp_path / f"{number}{'.nii.gz' if suffix == '.gz' else suffix}"
            feature.write(value, path)
            read = feature.read(feature.check(str(path)))
            if kind == "roll":
                assert read.beats_per_minute == pytest.approx(90, rel=1e-4)
                read = read.roll
            read = read.audio if kind == "audio" else read.voxels if hasattr(read, "voxels") else read
            np.testing.assert_array_equal(read, value)


def test_bytes_of_a_picture_are_the_files(tmp_path):
    feature = SAID["image_bytes"]
    feature.write(b"any bytes", tmp_path / "x.png")
    assert feature.read(feature.check(str(tmp_path / "x.png"))) == b"any bytes"


UNREADABLE = {"a folder": None, "of no kind": b"\xff\xfe\0\x81 no file of any kind", "cut short": b"GIF8"}
READ_ELSEWHERE = {("image_bytes", "of no kind"), ("image_bytes", "cut short")}  # by the export: tests/test_main.py
READ_ELSEWHERE |= {(kind, "cut short") for kind in ("text", "sentence", "sentence_target")}  # it is a text


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (kind, what)
        for kind in features.KINDS
        for what in UNREADABLE
        if features.feature_class(kind).suffixes and (kind, what) not in READ_ELSEWHERE
    ],
)
def test_an_unreadable_file_is_one_line_that_names_it(kind, what, tmp_path):
    if kind.startswith("audio"):
        pytest.importorskip("soundfile", reason="extra [signals] is not installed")
    if kind in ("volume", "label_volume"):
        pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    feature, content = SAID[kind], UNREADABLE[what]
    path = tmp_path / f"some{feature.suffixes[0]}"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(errors.UserError) as error:
        feature.read(feature.check(str(path)))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_features_are_imported_without_tensorflow():
    code = (
        "import sys, keras_dl.features as f; [f.feature_class(k) for k in f.KINDS]; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


EXPORTS = ["text", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pictures", "music"))]


def run_in(root, name):
    return runs.Run(path=root / "runs" / "app" / name, root=root, name=name, app="app")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """saved(name): version folder of an export of "pictures", "text" or "music", made once."""
    root, folders = tmp_path_factory.mktemp("features"), {}

    def save(name):
        keras.utils.set_random_seed(0)
        if name == "pictures":
            model, endpoints = exports.tiny(), exports.all_endpoints(exports.tiny())
        elif name == "text":
            model = models.build_lstm((None,), 4, units=(3,))
            endpoints = export.language_model(model, TOKENS, "ab", 3)
        else:
            model, prime = models.build_lstm(units=(3,)), np.eye(6, 88, 40, np.uint8)[None]
            endpoints = export.polyphony(model, PianoRoll(), prime, steps_per_beat=2, length=3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fresh_process, "answers", exports.answers_in_this_process)
            return export.save(model, run_in(root, name), endpoints=endpoints, metrics={})

    return lambda name: folders[name] if name in folders else folders.setdefault(name, save(name))


@pytest.mark.parametrize(
    "name", ["text", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pictures", "music"))]
)
def test_the_python_and_rest_examples_of_a_card_are_answered(saved, name, tmp_path, monkeypatch):
    """Of every endpoint, pasted as they are; the REST body decoded as TensorFlow Serving does."""
    monkeypatch.chdir(tmp_path)
    Image(exports.preprocessor()).write(np.zeros((3, 3, 1), np.uint8), tmp_path / "PICTURE.png")
    loaded, card = export.load(saved(name)), cards.read(saved(name))
    for endpoint in card["endpoints"]:
        alone = card | {"endpoints": {endpoint: card["endpoints"][endpoint]}}
        call = cards.how_to_call(saved(name), alone)
        names = {}
        exec(call["python"], names)
        assert set(names["answer"]) == set(card["endpoints"][endpoint]["outputs"])
        body = json.loads(json.dumps(call["rest"]["body"]))
        assert body["signature_name"] == endpoint
        rows = body.get("instances")
        given = {field: [row[field] for row in rows] for field in rows[0]} if rows else body["inputs"]
        given = {
            field: np.array([base64.b64decode(v["b64"]) if isinstance(v, dict) else v for v in value], object)
            if isinstance(value, list) and isinstance(value[0], (dict, str))
            else value
            for field, value in given.items()
        }
        answer = loaded.call(endpoint, **given)
        for output, value in answer.items():
            if card["endpoints"][endpoint]["outputs"][output]["dtype"] == "float32":
                assert np.isfinite(value).all()


def as_before(card):
    """The card as it was written before features were said in it."""
    card = json.loads(json.dumps(card))
    configs = card.pop("features")
    for endpoint in card["endpoints"].values():
        endpoint.pop("samples", None)
        for tensor in (*endpoint["inputs"].values(), *endpoint["outputs"].values()):
            tensor.pop("feature", None)
    kinds = {"image_bytes": "image", "text": "tokens", "roll": "piano_roll"}
    for name, kind in kinds.items():
        if name in configs:
            card["preprocess"] = {"kind": kind, **configs[name]}
    if "class" in configs:
        card["classes"] = configs["class"]["classes"]
    if "roll" in configs:
        card["preprocess"] = {"kind": "piano_roll", "notes": 88, "lowest": 21, "pad": 16}
        card["data"] = configs["roll"]
    return card


@pytest.mark.parametrize(
    "name", ["text", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pictures", "music"))]
)
def test_a_card_of_before_features_means_the_same(saved, name):
    card = cards.read(saved(name))
    before = as_before(card)
    assert "features" not in before and before != card
    for endpoint in card["endpoints"]:
        for way in ("inputs", "outputs"):
            now, then = (cards.features_of(each, endpoint, way) for each in (card, before))
            assert {n: (type(f), f.config()) for n, f in now.items()} == {
                n: (type(f), f.config()) for n, f in then.items()
            }


def test_a_config_that_several_share_is_written_once(saved):
    card = cards.read(saved("text"))
    assert list(card["features"]) == ["text"]
    assert {spec.get("feature") for e in card["endpoints"].values() for spec in e["inputs"].values()} == {"text", None}


def test_a_draw_of_another_process_must_be_the_same(saved, tmp_path, monkeypatch):
    """With the same seed; what a fresh process draws otherwise is no export."""

    def other(folder, calls):
        answers = exports.answers_in_this_process(folder, calls)
        answers["generate/1"] = {"text": np.array([b"zz"], object)}
        return answers

    monkeypatch.setattr(fresh_process, "answers", other)
    net = models.build_lstm((None,), 4, units=(3,))
    endpoints = export.language_model(net, TOKENS, "ab", 3)
    with pytest.raises(RuntimeError, match="endpoint generate draws otherwise with the same seed at batch size 1"):
        export.save(net, run_in(tmp_path, "text"), endpoints=endpoints, metrics={})
    assert "the same seed gives the same draw" in cards.read(saved("text"))["endpoints"]["generate"]["samples"]
    assert "samples" not in cards.read(saved("text"))["endpoints"]["score"]


# A kind of one's own: one class and one row


class Series(Feature):
    """Measurements of one quantity: float32 (B, T); a CSV file of one number a line."""

    kind = "series"
    shape = (None, None)
    suffixes = (".csv",)
    plural = "series"
    written_as = (".csv",)

    def read(self, source):
        try:
            return np.loadtxt(source.content, np.float32, ndmin=1)
        except ValueError as error:
            raise errors.UserError(f"{source.place} is no series of numbers: {error}") from error

    def write(self, value, path, like=None):
        np.savetxt(path, np.asarray(value), fmt="%.9g")

    def example(self):
        return np.array([[1.0, 2.0, 4.0]], np.float32)

    def in_python(self):
        return "tf.constant([[1.0, 2.0, 4.0]])"

    def on_command_line(self):
        return "SERIES.csv"


def test_a_folder_of_a_new_kind_is_loaded_by_it(tmp_path):
    """Its own splits or held-out ones, classes, bad files named, what is left out said."""
    rng = np.random.default_rng(0)
    for label in ("calm", "wild"):
        for number in range(8):
            path = tmp_path / "series" / label / f"{number}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            Series().write(rng.normal(size=4 + number % 2), path)
    (tmp_path / "series" / "calm" / "notes.txt").write_text("no series")
    splits = data.files.load(str(tmp_path / "series"), "series", Series(), labelled=True)
    assert splits.info.classes == ("calm", "wild") and splits.info.name == "series"
    assert splits.info.counts == {"train": 12, "validation": 2, "test": 2}
    assert "no series by their endings: 1 (calm/notes.txt)" in splits.notes[-1]
    for part in (splits.train, splits.validation, splits.test):
        for series, label in zip(part.features["series"], part.features["label"], strict=True):
            files = [
                np.loadtxt(path, np.float32) for path in (tmp_path / "series" / ("calm", "wild")[label]).glob("*.csv")
            ]
            assert sum(len(file) == len(series) and np.array_equal(file, series) for file in files) == 1
    again = data.files.load(str(tmp_path / "series"), "series", Series(), labelled=True)
    assert data.fingerprint(splits) == data.fingerprint(again)
    (tmp_path / "series" / "wild" / "0.csv").write_text("one\n")
    with pytest.raises(
        errors.UserError, match="files.load: 1 of 17 files in .* cannot be read as series: .*wild/0.csv"
    ):
        data.files.load(str(tmp_path / "series"), "series", Series(), labelled=True)
    few = data.files.load(str(tmp_path / "series"), "series", Series(), labelled=True, skip_unreadable=True)
    assert sum(few.info.counts.values()) == 15


def test_a_folder_of_splits_of_a_new_kind_keeps_them(tmp_path):
    for split, count in (("train", 5), ("val", 1)):
        (tmp_path / split).mkdir()
        for number in range(count):
            Series().write([number, len(split)], tmp_path / split / f"{number}.csv")
    splits = data.files.load(str(tmp_path), "series", Series())
    assert splits.info.counts == {"train": 4, "validation": 1, "test": 1}
    assert splits.validation.features["series"].tolist() == [[0, 3]] and "no test split in" in splits.notes[0]
    with pytest.raises(errors.UserError, match="files.load: no folder"):
        data.files.load(str(tmp_path / "none"), "series", Series())


def test_a_new_kind_is_one_class_and_one_row(tmp_path, monkeypatch, capsys):
    """predict, folders, cards and verification have it by that."""
    monkeypatch.setitem(features.KINDS, "series", Series)
    monkeypatch.setattr(fresh_process, "answers", exports.answers_in_this_process)
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

    def spread(series):
        return {"spread": tf.reduce_max(series, 1) - tf.reduce_min(series, 1)}

    ends = {"serving_default": Endpoint(spread, {"series": Series()}, {"spread": Nats()})}
    folder = export.save(net, run_in(tmp_path, "series"), endpoints=ends, metrics={})
    given = tmp_path / "given"
    given.mkdir()
    Series().write([3.0, 1.0, 2.5], given / "a.csv")
    Series().write([7.0], given / "b.CSV")
    (given / "c.csv").write_text("one\n")
    np.testing.assert_array_equal(Series().read(Source(given / "a.csv", "a", "a")), [3, 1, 2.5])
    with pytest.raises(SystemExit):
        command.main(["predict", str(folder), str(given), "--out", str(tmp_path / "o.json")])
    said = capsys.readouterr()
    assert f"predict: {given}/c.csv is no series of numbers" in said.err
    assert [row["spread"] for row in json.loads((tmp_path / "o.json").read_text())] == [2.0, 0.0]
    card = cards.read(folder)
    assert card["endpoints"]["serving_default"]["inputs"]["series"]["kind"] == "series"
    assert card["call"]["predict"].endswith("SERIES.csv")
    assert card["call"]["rest"]["body"]["instances"] == [{"series": [1.0, 2.0, 4.0]}]
    command.main(["show", str(folder)])
    assert "series\tfloat32 (any, any)\tseries" in capsys.readouterr().out


def test_a_mask_gives_the_top_half():
    mask = Mask(5, 4)
    given = mask.of(np.zeros((9, 9, 1), np.uint8))
    assert given.dtype == np.uint8 and given.tolist() == [[1] * 4] * 2 + [[0] * 4] * 3
    assert mask.show(given) == "8 of 20 pixels given"
    batch = mask.of_batch(np.array([b"one", b"two"], object))
    assert batch.shape == (2, 5, 4) and mask.spec("mask").is_compatible_with(tf.constant(batch))
    np.testing.assert_array_equal(eval(mask.in_python(), {"tf": tf})[0], given)
    scope = {"np": np}
    exec("\n".join(mask.in_numpy("mask")), scope)
    np.testing.assert_array_equal(scope["mask"], batch[:1])
    assert mask.in_rest() == given.tolist()
