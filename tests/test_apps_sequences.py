"""The apps of music, text and translation: every option, files of one's own, published sets, mistakes."""

import json
import math
import re
import subprocess
import sys

import keras
import pytest
from app_files import ROOT, main_of

from keras_dl import cards


def assert_something_is_known(metrics, root):
    """Fewer nats a step than of a model that knows nothing, and not so few that it must have been shown the answer."""
    (export,) = (root / "saved_models").glob("*/1")
    outputs = keras.saving.load_model(export / "model.keras", compile=False).output_shape[-1]
    of_nothing = outputs * math.log(2) if cards.read(export)["app"] == "model_music" else math.log(outputs)
    assert 0.1 * of_nothing < metrics["nats"] < of_nothing
    if "perplexity" in metrics:
        assert metrics["perplexity"] == pytest.approx(math.exp(metrics["nats"]), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "flags"),
    [
        ("model_text", ["--model", "rnn", "--level", "word", "--vocabulary-size", "200", "--prime", "the",
                        "--formats", "onnx"]),
        ("model_text", ["--model", "gru", "--scheduled-sampling", "0.5", "--weight-noise", "0.01"]),
        ("model_text", ["--loss-over", "sequences", "--schedule", "decay", "--optimizer", "sgd", "--set", "tied=True",
                        "--set", "units=(48,)", "--set", "embedding_dim=48"]),
        ("model_text", ["--precision", "mixed_bfloat16", "--histograms", "--set", "dropout=0.3"]),
        ("model_music", ["--model", "rnn", "--set", "units=(20,)", "--set", "transition_units=(10,)",
                         "--set", "shortcut=True", "--set", "output_units=(10,)", "--set", "output_activation=maxout"]),
        ("model_music", ["--model", "gru", "--weight-noise", "0.075", "--optimizer", "rmsprop", "--patience", "1",
                         "--formats", "onnx"]),
        ("model_music", ["--precision", "mixed_bfloat16", "--histograms", "--strategy", "mirrored"]),
    ],
    ids=lambda v: v if isinstance(v, str) else " ".join(v),
)  # fmt: skip
def test_every_option_of_the_sequence_apps(app, flags, tmp_path, one_process_answers):
    argv = ["--smoke", "--out", str(tmp_path), "--epochs", "1", "--trials", "0"]
    metrics = main_of(ROOT / "apps" / f"{app}.py")([*argv, *flags])
    assert_something_is_known(metrics, tmp_path)


@pytest.mark.parametrize(
    ("app", "flags", "complaint"),
    [
        ("model_text", ["--dataset", "pyton"], 'no data set or path "pyton"; nearest: python'),
        ("model_text", ["--strategy", "mirrored"], "--strategy: a state that is carried over has one device"),
        ("model_text", ["--scheduled-sampling", "1.5"], "--scheduled-sampling: must be a number in [0, 1]; got 1.5."),
        ("model_text", ["--set", "tied=True"], "build_lstm: tied needs an embedding as wide as"),
        ("model_text", ["--batch-size", "90000"], "rows needs at least 90001 tokens"),
        ("model_text", ["--vocabulary-size", "50"], "--vocabulary-size: must be given with --level word"),
        ("model_text", ["--sequence-length", "0"], "--sequence-length: must be a whole number from 1 to"),
        ("model_music", ["--dataset", "notingham"], 'no music set or folder "notingham"; nearest: nottingham'),
        ("model_music", ["--set", "peephole=maybe"], "build_lstm: peephole must be True or False; got 'maybe'."),
        ("model_music", ["--weight-noise", "-1"], "--weight-noise: must be a number in [0, 10]; got -1.0."),
        ("translate", ["--dataset", "multi30k", "--source", "a", "--target", "b"], "--dataset and --source: one"),
        ("translate", ["--dataset", "multi30k", "--chained", "2", "3"], "--chained: must be given with --dataset"),
        ("model_music", ["--steps-per-beat", "2"], "--steps-per-beat: must be given with a folder as --dataset"),
        ("model_music", ["--clipnorm", "nan"], "--clipnorm: must be a number in [0, 1e6]; got nan."),
    ],
)  # fmt: skip
def test_mistakes_in_the_sequence_apps_leave_nothing(app, flags, complaint, tmp_path):
    from keras_dl.errors import UserError

    few = ["--smoke"] if app == "model_music" else []
    with pytest.raises(UserError, match=re.escape(complaint)) as error:
        main_of(ROOT / "apps" / f"{app}.py")([*flags, *few, "--out", str(tmp_path / "out")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_sample_is_as_long_as_the_model_may_write():
    from keras_dl.errors import UserError
    from keras_dl.export import sample_length

    assert sample_length(300, 300, 1000, 3) == (300, ())
    length, notes = sample_length(300, 300, 166, 3)
    assert length == 163 and "samples have 163 tokens" in notes[0]
    assert sample_length(163, 300, 166, 3) == (163, ())
    for asked, most, said in (
        (164, 166, "--sample-length: must be at most 163"),
        (300, 3, "--prime: must have at most 2 tokens"),
    ):
        with pytest.raises(UserError, match=said):
            sample_length(asked, 300, most, 3)


@pytest.mark.slow
def test_ones_own_midi_and_text_from_folder_to_answer(tmp_path):
    import numpy as np

    from keras_dl.features import sound

    rng, midi, texts = np.random.default_rng(0), tmp_path / "midi", tmp_path / "texts"
    midi.mkdir(), texts.mkdir()
    for number in range(6):
        roll = (rng.random((40, 88)) < 0.03).astype(np.uint8)
        sound.write_midi(roll, midi / f"{number}.mid", steps_per_beat=4, beats_per_minute=100)
        (texts / f"{number}.txt").write_text("one two three four\n" * 40)

    def call(*words):
        done = subprocess.run([sys.executable, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    call(ROOT / "apps" / "model_music.py", "--dataset", midi, "--trials", "0", "--epochs", "1")
    ask = ["-m", "keras_dl", "predict"]
    generate = ["--endpoint", "generate", "--set", "length=10"]
    call(*ask, "saved_models/lstm-midi", midi / "0.mid", *generate, "--out", "more.mid")
    assert (tmp_path / "more.mid").stat().st_size > 50
    few = ["--trials", "0", "--epochs", "2", "--batch-size", "4", "--sequence-length", "20", "--prime", "one"]
    call(ROOT / "apps" / "model_text.py", "--dataset", texts, *few, "--set", "units=(16,)")
    assert "one" in call(*ask, "saved_models/lstm-texts", "one", *generate)


@pytest.mark.data
@pytest.mark.parametrize(
    ("app", "name", "flags", "nats"),
    [
        ("model_music", "jsb_chorales", ["--epochs", "40", "--batch-size", "16"], 9.5),
        ("model_text", "ptb", ["--set", "units=(32,)", "--set", "embedding_dim=32", "--epochs", "1",
                               "--vocabulary-size", "500", "--learning-rate", "0.01"], 4.6),
    ],
)  # fmt: skip
def test_published_sets_through_tfds(app, name, flags, nats, tmp_path):
    from keras_dl.errors import UserError

    try:
        metrics = main_of(ROOT / "apps" / f"{app}.py")(
            ["--dataset", name, "--trials", "0", "--out", str(tmp_path), *flags]
        )
    except UserError as error:
        if "does not answer" in str(error):
            pytest.skip(f"data: {name} is not prepared under TFDS_DATA_DIR")
        raise
    assert metrics["nats"] < nats


@pytest.mark.slow
@pytest.mark.parametrize("model", ["attention_seq2seq", "seq2seq"])
def test_every_model_of_the_translation_app(model, tmp_path, capsys, one_process_answers):
    flags = ["--smoke", "--out", str(tmp_path), "--model", model, "--epochs", "1"]
    metrics = main_of(ROOT / "apps" / "translate.py")([*flags, "--dataset", "dates/de-en", "--chained", "2", "2"])
    (shown,) = re.findall(r"keras_dl predict \S+ (.*)", capsys.readouterr().out)
    assert shown.count("; ") == 1  # two items, whatever the language
    assert_something_is_known(metrics, tmp_path)
    (card,) = (tmp_path / "saved_models").glob("*/1/card.json")
    outputs = json.loads(card.read_text())["endpoints"]["translate"]["outputs"]
    assert ("alignment" in outputs) == (model == "attention_seq2seq")


def test_what_the_export_would_not_translate_is_said_before_the_training(tmp_path):
    from keras_dl.errors import UserError

    pytest.importorskip("sentencepiece", reason="extra [translation] is not installed")
    for name in ("my.xx", "my.yy"):
        (tmp_path / name).write_text("".join(f"{'ab cd ' * 700}{n}\n" for n in range(60)))
    own = ["--source", str(tmp_path / "my.xx"), "--target", str(tmp_path / "my.yy"), "--longest", "9999"]
    app = main_of(ROOT / "apps" / "translate.py")
    with pytest.raises(UserError, match="too long to be translated: at most 511 sub-words and 4,096 bytes"):
        app([*own, "--vocabulary-size", "40", "--out", str(tmp_path)])
    with pytest.raises(UserError, match="export.save: onnx: a translation model goes from strings to strings"):
        app([*own, "--vocabulary-size", "40", "--out", str(tmp_path), "--formats", "onnx"])
    with pytest.raises(UserError, match="--batch-size: must be at most 64; got 65"):
        app(["--batch-size", "65", "--out", str(tmp_path)])
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_two_files_of_ones_own_are_translated_in_half_precision(tmp_path, capsys, one_process_answers):
    pairs = [(f"the {a} {b}", f"{b} {a}") for a in "abcdefgh" for b in "ijklmnop"] + [("", ""), ("", "")]
    pairs += [("the " + " ".join((a, b) * 150), a) for a in "abc" for b in "ijk"]  # of them most are for training
    for name, lines in zip(("my.xx", "my.yy"), zip(*pairs, strict=True), strict=True):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    own = ["--source", str(tmp_path / "my.xx"), "--target", str(tmp_path / "my.yy"), "--vocabulary-size", "40"]
    metrics = main_of(ROOT / "apps" / "translate.py")(
        ["--smoke", "--out", str(tmp_path), "--trials", "0", "--precision", "mixed_bfloat16", *own]
    )
    assert_something_is_known(metrics, tmp_path)
    said = capsys.readouterr().out
    assert "left out, empty on both sides: 2 pairs" in said and "left out of train, longer than 200 sub-words: " in said
    (card,) = (tmp_path / "saved_models").glob("*/1/card.json")
    features = json.loads(card.read_text())["data"]["features"]
    assert [features[side]["language"] for side in ("source", "target")] == ["xx", "yy"]


@pytest.mark.slow
def test_a_transformer_models_text(tmp_path, one_process_answers):
    flags = ["--smoke", "--out", str(tmp_path), "--model", "transformer_lm", "--trials", "0", "--epochs", "1"]
    metrics = main_of(ROOT / "apps" / "model_text.py")([*flags, "--sequence-length", "16"])
    assert_something_is_known(metrics, tmp_path)
    assert list(tmp_path.glob("runs/model_text/*/report/attention_1.png"))
