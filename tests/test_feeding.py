"""`predict` on texts and MIDI: what an INPUT may be, what comes back, and what is wrong said in one line."""

import io
import json

import keras
import numpy as np
import pytest
import test_export as exports

from keras_dl import __main__ as command
from keras_dl import export, models, runtime
from keras_dl.data import music, text

VOCABULARY = ("\ufffd", "\n", "a", "b", "c", " ")
GRID = {"steps_per_beat": 2, "beats_per_minute": 80}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """{"text", "music"}: an export of either kind."""
    root, made = tmp_path_factory.mktemp("feeding"), {}
    keras.utils.set_random_seed(0)
    tokens = text.Tokens("character", VOCABULARY)
    for kind in ("text", "music"):
        run = runtime.Run(path=root / kind, root=root, name=f"lstm-{kind}", app=f"model_{kind}")
        if kind == "text":
            net = models.build_lstm((None,), len(VOCABULARY), units=(4,))
            preprocess, endpoints = tokens, export.language_model(models.with_state(net), tokens, "ab", 9)
        else:
            net, preprocess = models.build_lstm(units=(4,)), music.PianoRoll()
            prime = np.random.default_rng(0).integers(0, 2, (2, 6, 88)).astype(np.uint8)
            endpoints = export.polyphony(models.with_state(net), preprocess, prime, length=8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(export, "_answers_of_a_fresh_process", exports.answers_in_this_process)
            made[kind] = export.save(
                net, run, preprocess=preprocess, endpoints=endpoints, metrics={"nats": 1.0}, card={"data": GRID}
            )
    return made


def said(capsys, *words):
    command.main([str(word) for word in words])
    return capsys.readouterr().out


def mistake(*words):
    with pytest.raises(runtime.UserError) as error:
        command.main([str(word) for word in words])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_text_is_given_as_words_a_file_or_standard_input(folders, tmp_path, capsys, monkeypatch):
    file = tmp_path / "some.txt"
    file.write_text("ab c\nb", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("ab c\nb"))
    out = tmp_path / "o.json"
    said(capsys, "predict", folders["text"], "ab c\nb", file, "-", "cab", "--out", out)
    answers = json.loads(out.read_text())
    assert [a["tokens"] for a in answers] == [6, 6, 6, 3]
    assert len({a["log_likelihood"] for a in answers[:3]}) == 1 != answers[3]["log_likelihood"]
    served = export.load(folders["text"]).call(text=np.array(["ab c\nb"], object))
    assert answers[0]["log_likelihood"] == pytest.approx(float(served["log_likelihood"][0]))


def test_a_text_goes_on_with_the_scalars_that_are_set(folders, capsys):
    ask = ["predict", folders["text"], "ab", "--endpoint", "generate", "--set", "length=5"]
    one, same, other = (said(capsys, *ask, "--set", f"seed={seed}").splitlines()[-1] for seed in (1, 1, 2))
    assert one == same != other and one.startswith("ab")


def test_a_midi_file_is_scored_and_played_on(folders, tmp_path, capsys):
    pytest.importorskip("pretty_midi", reason="extra [music] is not installed")
    roll = np.zeros((6, 88), np.uint8)
    roll[:, 39], roll[3:, 43] = 1, 1
    piece, more = tmp_path / "piece.mid", tmp_path / "more.mid"
    music.write_midi(roll, piece, **GRID)
    out = tmp_path / "score.json"
    said(capsys, "predict", folders["music"], piece, "--out", out)
    (answer,) = json.loads(out.read_text())
    served = export.load(folders["music"]).call(roll=roll[None], steps=[6])
    assert answer["nats_per_step"] == pytest.approx(float(served["nats_per_step"][0]), rel=1e-5)
    ask = ["predict", folders["music"], piece, "--endpoint", "generate", "--set", "length=7", "--out", more]
    assert "13 steps" in said(capsys, *ask)
    played = music.read_midi(more, 2)
    np.testing.assert_array_equal(played[:6], roll)
    said(capsys, *ask, "--set", "temperature=0.5", piece)  # of two, two files
    assert {p.name for p in tmp_path.glob("more*")} == {"more.mid", "more-1.mid", "more-2.mid"}


@pytest.mark.parametrize(
    ("kind", "words", "complaint"),
    [
        ("text", [], "endpoint serving_default takes texts; name one or more, or files, or - for standard input."),
        ("text", ["a", "--out", "o.mid"], "--out: must end in .json or .csv; got o.mid."),
        ("music", [], "endpoint serving_default takes MIDI files; name one or more files."),
        ("music", ["nothing.mid"], "predict: no such file: nothing.mid."),
        ("music", ["{here}"], "is a folder; name its files: {here}/*.mid"),
        ("music", ["{text}"], "{text} is no readable MIDI file"),
        ("music", ["{text}", "--out", "o.mid"], "--out: must end in .json or .csv; got o.mid."),
        ("music", ["{text}", "--endpoint", "generate", "--out", "o.wav"], "must end in .json or .csv or .mid"),
        ("text", ["a", "--endpoint", "generate", "--set", "length=-1"], "is refused: length must not be negative"),
        ("text", ["a", "--endpoint", "generate", "--set", "temperature=-1.0"], "temperature must not be negative"),
        ("text", ["{binary}"], "must be text in UTF-8"),
    ],
)
def test_mistakes_are_one_line(folders, tmp_path, kind, words, complaint):
    pytest.importorskip("pretty_midi", reason="extra [music] is not installed")
    (tmp_path / "a.txt").write_text("no music")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00\x81")
    names = {"here": tmp_path, "text": tmp_path / "a.txt", "binary": tmp_path / "b.bin"}
    text = mistake("predict", folders[kind], *(word.format(**names) for word in words))
    assert complaint.format(**names) in text
