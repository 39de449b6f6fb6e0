"""`predict` on texts, sentences and MIDI: what an INPUT may be, what comes back, and mistakes said in one line."""

import csv
import io
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import test_export as exports
from test_data_midi import midi_file, note
from test_main import mistake, said

from keras_dl import __main__ as command
from keras_dl import cards, endpoints, errors, export, features, fresh_process, inputs, models, predicting, runs
from keras_dl.endpoints import Endpoint
from keras_dl.endpoints.translation import MOST_SENTENCES
from keras_dl.features import midi, sound
from keras_dl.features.image import Image
from keras_dl.features.levels import Levels
from keras_dl.features.mask import Mask
from keras_dl.features.numbers import Count, Number, Score
from keras_dl.features.piano_roll import PianoRoll
from keras_dl.features.sentences import Alignment, Sentence, SourceTokens, TargetSentence, TargetTokens
from keras_dl.features.subwords import SPECIAL, WORD, Subwords
from keras_dl.features.text import Text, Texts
from keras_dl.features.tokens import Tokens

pytestmark = pytest.mark.usefixtures("loaded_once")

VOCABULARY = ("\ufffd", "\n", "a", "b", "c", " ")
GRID = {"steps_per_beat": 2, "beats_per_minute": 80}
SUBWORDS = Subwords((*SPECIAL, WORD, *"abc"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """{"text", "music", "sentences", "drawings"}: an export of each kind."""
    root, made = tmp_path_factory.mktemp("feeding"), {}
    keras.utils.set_random_seed(0)
    tokens = Tokens("character", VOCABULARY)
    for kind in ("text", "music", "sentences", "drawings"):
        run = runs.Run(path=root / kind, root=root, name=f"lstm-{kind}", app=f"model_{kind}")
        if kind == "text":
            net = models.build_lstm((None,), len(VOCABULARY), units=(4,))
            endpoints = export.language_model(net, tokens, "ab", 9)
        elif kind in ("sentences", "drawings"):
            net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            endpoints = shouting() if kind == "sentences" else drawing()
        else:
            net = models.build_lstm(units=(4,))
            prime = np.random.default_rng(0).integers(0, 2, (2, 6, 88)).astype(np.uint8)
            endpoints = export.polyphony(net, PianoRoll(), prime, steps_per_beat=2, length=8)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fresh_process, "answers", exports.answers_in_this_process)
            made[kind] = export.save(net, run, endpoints=endpoints, metrics={"nats": 1.0})
    return made


def shouting():
    """Endpoints that look like a translator's and can be foretold: a translation is in capitals, a token is a word."""
    most = Sentence.at_once  # of a request

    def translate(source, length_penalty):
        small = endpoints.at_most(tf.size(source), most, "source: a request", "sentences")
        brief = endpoints.at_most(tf.reduce_max(tf.strings.length(source)), 500, "source: a sentence", "bytes")
        light = endpoints.at_most(tf.reduce_sum(tf.strings.length(source)), 2000, "source: a request", "bytes")
        with tf.control_dependencies([small, brief, light]):
            words = tf.strings.split(tf.identity(source))
        source_tokens, target_tokens = words.to_tensor(""), tf.concat([words, words], 1).to_tensor("")
        upper = tf.strings.upper(source)
        count = tf.cast(words.row_lengths(), tf.float32)
        real = tf.cast(target_tokens != "", tf.float32)[:, :, None] * tf.cast(source_tokens != "", tf.float32)[:, None]
        return {
            "translation": upper, "score": count * length_penalty, "translations": tf.stack([upper, source], 1),
            "scores": tf.stack([count, -count], 1), "source_tokens": source_tokens, "target_tokens": target_tokens,
            "alignment": real, "request": tf.fill([tf.size(source)], tf.size(source)),
        }  # fmt: skip

    def score(source, target):
        return {"longer": tf.strings.length(target) - tf.strings.length(source)}

    source = Sentence(subwords=SUBWORDS, examples=("a", "b c"))
    target = TargetSentence(subwords=SUBWORDS, examples=("a", "b"))
    outputs = {
        "translation": Text(), "score": Score(), "translations": Texts(), "scores": Score(),
        "source_tokens": SourceTokens(), "target_tokens": TargetTokens(), "alignment": Alignment(), "request": Count(),
    }  # fmt: skip
    longer = {"longer": Count()}
    return {
        "serving_default": Endpoint(translate, {"source": source, "length_penalty": Number("float32", 0.5)}, outputs),
        "score": Endpoint(score, {"source": source, "target": target}, longer),
        "backwards": Endpoint(
            lambda target, source: score(source, target), {"target": target, "source": source}, longer
        ),
        "two": Endpoint(score, {"source": source, "target": source}, longer),
    }


def drawing():
    """Endpoints that look like those of a density of images: a sample is as grey as its number, a completion black."""

    def sample(n, seed):
        grey = (10 * tf.range(n) + seed)[:, None, None, None] * tf.ones([n, 6, 4, 1], tf.int32)
        return {"image": tf.cast(grey, tf.uint8)}

    def complete(image, mask):
        resized = tf.image.resize(image, [6, 4], "nearest")
        return {"image": resized * mask[..., None], "given": tf.reduce_sum(tf.cast(mask, tf.int32), [1, 2])}

    image = Image(Levels((6, 4, 1), 2))
    return {
        "serving_default": Endpoint(sample, {"n": Number("int32", 3), "seed": Number("int32", 0)}, {"image": image}),
        "complete": Endpoint(complete, {"image": image, "mask": Mask(6, 4)}, {"image": image, "given": Count()}),
    }


def piped(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="latin-1"))


def test_a_text_is_given_as_words_a_file_or_standard_input(folders, tmp_path, capsys, monkeypatch):
    file = tmp_path / "some.txt"
    file.write_text("ab c\nb", encoding="utf-8")
    piped(monkeypatch, b"ab c\nb")
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
    sound.write_midi(roll, piece, **GRID)
    out = tmp_path / "score.json"
    said(capsys, "predict", folders["music"], piece, "--out", out)
    (answer,) = json.loads(out.read_text())
    served = export.load(folders["music"]).call(roll=roll[None], steps=[6])
    assert answer["nats_per_step"] == pytest.approx(float(served["nats_per_step"][0]), rel=1e-5)
    ask = ["predict", folders["music"], piece, "--endpoint", "generate", "--set", "length=7", "--out", more]
    assert "13 steps" in said(capsys, *ask)
    played = midi.read(more, 2).roll
    np.testing.assert_array_equal(played[:6], roll)
    said(capsys, *ask, "--set", "temperature=0.5", piece)  # of two, two files
    assert {p.name for p in tmp_path.glob("more*")} == {"more.mid", "more-1.mid", "more-2.mid"}


def test_what_goes_on_from_a_prime_has_its_tempo(folders, tmp_path, capsys):
    pytest.importorskip("pretty_midi", reason="extra [music] is not installed")
    roll = np.zeros((6, 88), np.uint8)
    roll[:, 39] = 1
    slow, fast, more = (tmp_path / f"{name}.mid" for name in ("slow", "fast", "more"))
    for place, tempo in ((slow, 60), (fast, 150)):
        sound.write_midi(roll, place, steps_per_beat=2, beats_per_minute=tempo)
    said(capsys, "predict", folders["music"], slow, fast, "--endpoint", "generate", "--out", more)
    tempi = [midi.read(tmp_path / f"more-{n}.mid", 2).beats_per_minute for n in (1, 2)]
    assert tempi == pytest.approx([60, 150], rel=1e-4)


def test_pictures_are_drawn_without_files_and_written_as_png(folders, tmp_path, capsys):
    ask = ["predict", folders["drawings"], "--set", "seed=5"]
    hint = "image: the table has no pictures; --out NAME.png writes them as files"
    *table, last = said(capsys, *ask).splitlines()
    assert [line.split("\t")[0] for line in table] == ["row", "1", "2", "3"] and last == hint
    text = said(capsys, *ask, "--set", "n=4", "--out", tmp_path / "drawn.png")
    assert hint not in text and text.count("written: ") == 4
    for number in range(4):
        picture = tf.io.decode_png((tmp_path / f"drawn-{number + 1}.png").read_bytes()).numpy()
        assert picture.shape == (6, 4, 1) and (picture == 10 * number + 5).all()
    said(capsys, *ask, "--set", "n=1", "--out", tmp_path / "one.png")
    assert (tmp_path / "one.png").is_file() and not list(tmp_path.glob("one-*"))
    text = mistake(*ask, "--set", "n=0", "--out", tmp_path / "none.png")
    assert "the answer of endpoint serving_default to n=0, seed=5 is empty" in text
    assert not list(tmp_path.glob("none*"))


def test_a_long_draw_says_how_many_pictures_of_how_many_values_it_draws(folders):
    def sentence(kind, endpoint, **given):
        folder, card = cards.find(str(folders[kind]))
        features, outputs = (cards.features_of(card, endpoint, way) for way in ("inputs", "outputs"))
        return predicting._doing(predicting.Question(endpoint, features, outputs, {}, given, {}))

    said = "endpoint serving_default is drawing 16 pictures of 24 values each ..."
    assert sentence("drawings", "serving_default", n=16, seed=0) == said
    assert "1 picture of 24" in sentence("drawings", "serving_default", n=1, seed=0)
    assert sentence("text", "generate", seed=0) == "endpoint generate is computing its answer ..."


def test_a_picture_whose_top_half_is_given_is_completed(folders, tmp_path, capsys):
    for name, level in (("a", 250), ("b", 100)):
        (tmp_path / f"{name}.png").write_bytes(tf.io.encode_png(np.full((12, 9, 1), level, np.uint8)).numpy())
    paths = [tmp_path / f"{name}.png" for name in "ab"]
    text = said(capsys, "predict", folders["drawings"], *paths, "--endpoint", "complete", "--out", tmp_path / "c.png")
    assert [line.split("\t")[-1] for line in text.splitlines()[:3]] == ["given", "12", "12"]
    for number, level in ((1, 250), (2, 100)):
        completed = tf.io.decode_png((tmp_path / f"c-{number}.png").read_bytes()).numpy()
        assert (completed[:3] == level).all() and (completed[3:] == 0).all()


def test_the_card_and_show_say_what_a_request_may_have_at_most(folders, capsys):
    limits = cards.read(folders["music"])["endpoints"]["generate"]["limits"]
    assert limits == {"pieces": 64, "steps": 2**15, "steps_of_all": 2**17, "length": 2**14}
    said_of_it = said(capsys, "show", folders["music"])
    assert all(f"{name}\t" in said_of_it and f"{most:,}" in said_of_it for name, most in limits.items())


def test_what_a_model_does_not_hear_of_a_midi_file_is_said(folders, tmp_path, capsys):
    piece = tmp_path / "piece.mid"
    piece.write_bytes(midi_file(note(60) + note(38, channel=9) + note(20) + note(109) + note(64)))
    command.main(["predict", str(folders["music"]), str(piece)])
    said = capsys.readouterr().err
    assert said == f"{piece}: notes of drums left out: 1\n{piece}: notes outside the piano's 88 keys left out: 2\n"


def test_sentences_are_words_lines_of_a_file_or_of_standard_input_in_their_order(
    folders, tmp_path, capsys, monkeypatch
):
    file = tmp_path / "some.txt"
    file.write_bytes("\ufeffein Hund\r\nüber\x0bdas\x85 Tor\r\n\r\n  \nzwei".encode())
    piped(monkeypatch, "d\u2028e\nf\n".encode())
    out = tmp_path / "o.json"
    words = "ä" * 200  # fewer letters than a file's name may have, and more bytes
    text = said(capsys, "predict", folders["sentences"], "one two three", file, "-", words, "--out", out)
    wanted = ["one two three", "ein Hund", "über\x0bdas\x85 Tor", "", "  ", "zwei", "d\u2028e", "f", words]
    answers = json.loads(out.read_text())
    assert [a["input"] for a in answers] == wanted
    upper = [tf.strings.upper(line.encode()).numpy().decode() if line.strip() else "" for line in wanted]
    assert [a["translation"] for a in answers] == upper
    for line, answer in zip(wanted, answers, strict=True):
        if not line.strip():  # was not asked about
            assert {key for key, value in answer.items() if value is None} == answer.keys() - {"input", "translation"}
            continue
        parts = [part.decode() for part in tf.strings.split(line.encode()).numpy()]
        assert answer["request"] == 7 and answer["score"] == 0.5 * len(parts)
        assert answer["source_tokens"] == parts and answer["target_tokens"] == parts * 2  # no padding
        assert answer["alignment"] == [[1.0] * len(parts)] * 2 * len(parts)
        assert answer["translations"] == [answer["translation"], line]
    rows = [line.split("\t") for line in text.split("\n")]
    assert rows[0] == ["input", "translation", "score", "request"]
    assert rows[1] == ["one two three", "ONE TWO THREE", "1.5", "7"] and rows[4] == [""]


def test_many_lines_are_asked_about_in_batches(folders, tmp_path, capsys):
    file, out = tmp_path / "many.txt", tmp_path / "o.json"
    lines = [f"{n} b" if n % 10 else "" for n in range(200)]  # 180 to ask about
    file.write_text("\n".join(lines) + "\n")
    said(capsys, "predict", folders["sentences"], file, "--set", "length_penalty=2.0", "--out", out)
    answers = json.loads(out.read_text())
    assert [a["input"] for a in answers] == lines and [a["translation"] for a in answers] == [x.upper() for x in lines]
    asked = [a["request"] for a in answers if a["request"]]
    assert asked == [64] * 128 + [52] * 52 and {a["score"] for a in answers} == {None, 4.0}
    assert Sentence.at_once <= MOST_SENTENCES


def test_translations_are_written_as_lines_or_as_csv_without_what_is_a_list(folders, tmp_path, capsys):
    ask = ["predict", folders["sentences"], "a, b", "", 'say "c"', "--out"]
    assert f"written: {tmp_path}/o.txt" in said(capsys, *ask, tmp_path / "o.txt")
    assert (tmp_path / "o.txt").read_text() == 'A, B\n\nSAY "C"\n'
    said(capsys, *ask, tmp_path / "o.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "o.csv").read_text())))
    assert list(rows[0]) == ["input", "translation", "score", "request"]
    assert [row["translation"] for row in rows] == ["A, B", "", 'SAY "C"'] and rows[1]["score"] == ""


@pytest.mark.parametrize("endpoint", ["score", "backwards"])
def test_a_pair_is_a_line_with_a_tab(folders, tmp_path, capsys, endpoint):
    file, out = tmp_path / "pairs.tsv", tmp_path / "o.json"
    file.write_text("a dog\tein Hund\n\na\t\n\t\n\tbc\n")
    text = said(capsys, "predict", folders["sentences"], "x\txyz", file, "--endpoint", endpoint, "--out", out)
    wanted = [("x", "xyz", 2), ("a dog", "ein Hund", 3), ("", "", None), ("a", "", -1), ("", "", None), ("", "bc", 2)]
    assert [(a["source"], a["target"], a["longer"]) for a in json.loads(out.read_text())] == wanted
    assert text.splitlines()[:3] == ["source\ttarget\tlonger", "x\txyz\t2", "a dog\tein Hund\t3"]


def test_what_refuses_a_batch_is_named_with_its_line(folders, tmp_path, capsys):
    file = tmp_path / "long.txt"
    file.write_text("short\n" * 10 + "\n" + "x" * 501 + "\nshort\n" * 60)
    bad, out = f"predict: line 12 of {file} is refused: it may have at most 500 bytes.", tmp_path / "o.txt"
    with pytest.raises(SystemExit) as stop:  # its answer is empty, all others are there
        command.main(["predict", str(folders["sentences"]), "fits", str(file), "too", "--out", str(out)])
    assert stop.value.code == 1 and capsys.readouterr().err.splitlines()[-1] == bad
    assert out.read_text() == "FITS\n" + "SHORT\n" * 10 + "\n" + "\nSHORT\n" * 60 + "TOO\n"
    file.write_text("\n".join(lines := [f"{n} {'x' * 90}" for n in range(64)]))  # each fits, all of them do not
    command.main(["predict", str(folders["sentences"]), str(file), "--out", str(out)])
    assert out.read_text().splitlines() == [line.upper() for line in lines]
    assert mistake("predict", folders["sentences"], "y" * 501) == (
        f'predict: "{"y" * 40}..." is refused: it may have at most 500 bytes.'
    )


@pytest.mark.parametrize("kind", ["text", "sentences"])
def test_characters_that_a_model_does_not_know_are_named(folders, capsys, kind):
    command.main(["predict", str(folders[kind]), "abxyxz", "abc"])
    read_as = {"text": "\ufffd", "sentences": "<unk>"}[kind]
    assert capsys.readouterr().err == (
        f"abxyxz: 4 characters (3 different) are not in the vocabulary and are read as {read_as}: 'x' (2 times), 'y', "
        "'z'\n"
    )


def test_a_folder_means_its_texts_by_name(folders, tmp_path, capsys):
    inside, other_files = tmp_path / "my texts", ("c.md", "d.csv", "e", "f.pdf", ".hidden", "Thumbs.db")
    (inside / "more").mkdir(parents=True)
    for name, words in (("b.txt", "two\nthree"), ("a.TXT", "one"), *((name, "none") for name in other_files)):
        (inside / name).write_text(words)
    command.main(["predict", str(folders["sentences"]), str(inside), "--out", str(tmp_path / "o.json")])
    assert capsys.readouterr().err.splitlines()[:3] == [
        f"{inside}: left out, hidden or the system's own: 2 (.hidden, Thumbs.db)",
        f"{inside}: left out, no sentences by their endings: 4 (c.md, d.csv, e, ...)",
        f"{inside}: left out, folders: 1 (more)",
    ]
    assert [a["translation"] for a in json.loads((tmp_path / "o.json").read_text())] == ["ONE", "TWO", "THREE"]


def test_a_text_that_is_refused_is_named_by_its_file(folders, tmp_path):
    (tmp_path / "long.txt").write_text("a" * 40_000)
    with pytest.raises(errors.UserError, match=f"predict: {tmp_path / 'long.txt'} is refused: it may have at most "):
        command.main(["predict", str(folders["text"]), str(tmp_path / "long.txt")])
    with pytest.raises(errors.UserError, match="predict: a{300}... is refused: it may have at most "):
        command.main(["predict", str(folders["text"]), "a" * 40_000])


def test_more_lines_than_memory_has_room_for_are_refused_before_they_are_taken_apart(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_LINES", 5)
    for name, lines in (("five.txt", 5), ("six.txt", 6)):
        (tmp_path / name).write_text("a\n" * lines)
    failures = []
    assert len(inputs.sources([str(tmp_path / "five.txt")], {"source": Sentence()}, failures)) == 5 and not failures
    for names in (["six.txt"], ["five.txt", "five.txt"]):
        inputs.sources([str(tmp_path / name) for name in names], {"source": Sentence()}, failures)
        assert "may have at most 5 lines; cut it up." in str(failures.pop())


def test_an_empty_file_has_no_sentence(folders, tmp_path, capsys):
    (tmp_path / "none.txt").write_text("")
    assert said(capsys, "predict", folders["sentences"], tmp_path / "none.txt") == ""
    said(capsys, "predict", folders["sentences"], tmp_path / "none.txt", "--out", tmp_path / "o.csv")


def test_a_tab_within_a_sentence_stays_one_field_of_the_table(folders, capsys):
    assert said(capsys, "predict", folders["sentences"], "a\tb").splitlines()[1].split("\t")[:2] == ["a b", "A B"]


def test_the_card_says_how_sentences_are_asked_about(folders):
    call = cards.read(folders["sentences"])["call"]
    assert call["predict"].endswith(f'predict {folders["sentences"]} "a sentence"')
    assert 'source=tf.constant(["a sentence"]), length_penalty=tf.constant(0.5, tf.float32)' in call["python"]
    assert call["rest"]["body"]["inputs"] == {"source": ["a sentence"], "length_penalty": 0.5}
    card = cards.read(folders["sentences"])
    card["endpoints"] = {"score": card["endpoints"]["score"]}
    body = cards.how_to_call(folders["sentences"], card)["rest"]["body"]
    assert body["instances"] == [{"source": "a sentence", "target": "its translation"}]


@pytest.mark.parametrize(
    ("kind", "words", "complaint"),
    [
        ("text", [], "endpoint serving_default takes texts; name one or more, or files, or - for standard input."),
        ("text", ["a", "--out", "o.mid"], "--out: must end in .json or .csv; got o.mid."),
        ("music", [], "endpoint serving_default takes MIDI files; name one or more files."),
        ("music", ["nothing.mid"], "predict: no such file: nothing.mid."),
        ("music", ["{here}"], "{here} is a folder without MIDI files (.mid, .midi)"),
        ("text", ["/dev/null"], "predict: /dev/null is no regular file. If it is a text, give it by standard input"),
        ("text", ["-", "-"], "predict: standard input, INPUT -, can be read once."),
        ("text", ["a", "--endpoint", "generate", "--set", "temperature=1e39"], "must be float32, from -3.4"),
        ("music", ["{text}"], "{text} is no readable MIDI file"),
        ("music", ["{text}", "--out", "o.mid"], "--out: must end in .json or .csv; got o.mid."),
        ("music", ["{text}", "--endpoint", "generate", "--out", "o.wav"], "must end in .json or .csv or .mid"),
        (
            "text",
            ["a", "--endpoint", "generate", "--set", "length=-1"],
            "is refused: length must not be negative; got -1.",
        ),
        (
            "text",
            ["a", "--endpoint", "generate", "--set", "temperature=-1.0"],
            "temperature must be from 0 to 1,000,000; got -1.",
        ),
        ("text", ["{binary}"], "predict: {binary} must be text in UTF-8; it is UTF-16."),
        ("text", ["-"], "predict: standard input must be text in UTF-8; it is UTF-16."),
        ("text", ["a\udcff"], "predict: an INPUT must be text in UTF-8; byte 1, in line 1, is 0xff, which is not."),
        ("sentences", ["{binary}"], "predict: {binary} must be text in UTF-8; it is UTF-16."),
        ("sentences", ["-"], "predict: standard input must be text in UTF-8; it is UTF-16."),
        (
            "sentences",
            [],
            "endpoint serving_default takes sentences; name one or more, or files with one per line, or - for standard "
            "input.",
        ),
        (
            "sentences",
            ["--endpoint", "score"],
            "endpoint score takes pairs of sentences, a tab between source and target; name one or more, or files",
        ),
        ("sentences", ["nothing.txt"], "predict: nothing.txt is no file that is there. If it is a text, give it by"),
        ("sentences", ["{here}/none"], "predict: {here}/none is a folder without sentences (.txt)."),
        ("text", ["nothing.txt"], "predict: nothing.txt is no file that is there"),
        ("sentences", ["a", "--endpoint", "two"], "cannot feed endpoint two of card.json from files: source, target."),
        (
            "sentences",
            ["a b", "--endpoint", "score"],
            'predict: "a b" must be a source, a tab and its target; it has no tab.',
        ),
        (
            "sentences",
            ["{text}", "--endpoint", "score"],
            "predict: line 1 of {text} must be a source, a tab and its target; it has no tab.",
        ),
        (
            "sentences",
            ["a\tb\tc", "--endpoint", "score"],
            "must be a source, a tab and its target; it has 2 tabs.",
        ),
        ("sentences", ["a\tb", "--endpoint", "score", "--out", "o.txt"], "must end in .json or .csv; got o.txt."),
        ("sentences", ["a", "--out", "o.mid"], "--out: must end in .json or .csv or .txt; got o.mid."),
        ("text", ["a", "--out", "o.txt"], "must end in .json or .csv; got o.txt."),
    ],
)
def test_mistakes_are_one_line(folders, tmp_path, monkeypatch, kind, words, complaint):
    pytest.importorskip("pretty_midi", reason="extra [music] is not installed")
    (tmp_path / "a.txt").write_text("no music")
    (tmp_path / "none").mkdir()
    piped(monkeypatch, b"\xff\xfe\x00\x81")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00\x81")
    names = {"here": tmp_path, "text": tmp_path / "a.txt", "binary": tmp_path / "b.bin"}
    text = mistake("predict", folders[kind], *(word.format(**names) for word in words))
    assert complaint.format(**names) in text


def test_a_card_that_says_no_grid_is_one_line(tmp_path):
    (tmp_path / "piece.mid").write_bytes(midi_file(note(60)))
    roll = features.from_config("roll", {}, "card.json")
    with pytest.raises(errors.UserError, match="steps_per_beat must be said; the export's card does not say it."):
        roll.read(roll.check(str(tmp_path / "piece.mid")))


def test_of_a_feature_without_a_vocabulary_nothing_is_said():
    assert Text().remarks("x", ["abc"]) == Sentence().remarks("x", ["abc"]) == []


def test_what_is_wrong_with_every_line_is_said_once():
    asked = []

    class Export:
        def call(self, endpoint, source):
            asked.append(len(source))
            raise errors.Refused("", "length_penalty must be from 0 to 10; got -1")

    fed = {"source": Sentence()}
    question = predicting.Question("translate", fed, {"translation": Text()}, {"translation": [None]}, {}, fed)
    lines = inputs.sources(["a", "b", "c"], fed, [])
    with pytest.raises(errors.UserError, match="the request is refused: length_penalty"):
        predicting.answers_to(Export(), question, lines, [])
    assert asked == [3, 1, 0]
