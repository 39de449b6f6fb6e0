"""Laws of what is shown while a generative model learns: when, once, and the right way up."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_dl import models, runs, samples
from keras_dl.features.piano_roll import piano_roll_figure
from keras_dl.features.sentences import alignment_figure
from keras_dl.features.subwords import WORD, Subwords
from keras_dl.features.tokens import Tokens
from keras_dl.figures import png

TAG = "samples/made"


def shown(run):
    events = EventAccumulator(str(run.tensorboard / "validation"), size_guidance={"tensors": 0}).Reload()
    return sorted(event.step for event in events.Tensors(TAG)) if TAG in events.Tags()["tensors"] else []


def callback(run):
    return samples.Samples(run, lambda: tf.summary.text("made", "something"))


def test_samples_come_after_epochs_1_2_4_8_and_at_the_end(tmp_path):
    run = runs.Run(path=tmp_path, root=tmp_path, name="m", app="a")
    made = callback(run)
    for epoch in range(11):
        made.on_epoch_end(epoch)
    assert shown(run) == [1, 2, 4, 8]
    made.on_train_end()
    assert shown(run) == [1, 2, 4, 8, 11]
    made.on_train_end()  # a finished run that is resumed
    assert shown(run) == [1, 2, 4, 8, 11]


def test_a_resumed_run_shows_each_epoch_once(tmp_path):
    run = runs.Run(path=tmp_path, root=tmp_path, name="m", app="a")
    first = callback(run)
    for epoch in range(4):
        first.on_epoch_end(epoch)
    state = {"epochs_done": 3}  # the checkpoint before the kill
    second = callback(run)
    second.set_state(state)
    second.purge(3)
    assert shown(run) == [1, 2]
    second.on_epoch_end(3)
    second.on_train_end()
    assert shown(run) == [1, 2, 4]
    assert second.get_state() == {"epochs_done": 4}


class Learning:
    """A model whose pictures are as grey as it has been trained for epochs."""

    def __init__(self, run, **options):
        self.weights = 0
        self.frames = samples.Frames(run, self.make, columns=3, **options)

    def make(self):
        return np.full((5, 4, 4, 1), self.weights, np.uint8)

    def train(self, epochs, first=0):
        for epoch in range(first, epochs):
            self.weights = 10 * (epoch + 1)
            self.frames.on_epoch_end(epoch)
        return self


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in (folder / "samples").rglob("*.*")}


def pictures_shown(folder):
    """{tag: {step: bytes of the picture}}."""
    events = EventAccumulator(str(folder / "validation"), size_guidance={"tensors": 0}).Reload()
    return {
        tag: {event.step: tf.make_ndarray(event.tensor_proto)[2] for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


def run_in(folder):
    return runs.Run(path=folder, root=folder, name="m", app="a")


def test_the_same_noise_through_the_epochs_is_one_animated_picture(tmp_path):
    model = Learning(run_in(tmp_path)).train(6)
    model.weights = 40  # those of the best epoch
    model.frames.on_train_end({"epoch": 4})
    written = files(tmp_path)
    numbered = [f"samples/pictures/{epoch:06}.png" for epoch in range(1, 7)]
    assert set(written) == {*numbered, "samples/pictures/final.png", "samples/pictures/animation.gif"}
    shown = pictures_shown(tmp_path)
    assert {tag: list(steps) for tag, steps in shown.items()} == {
        "samples/pictures": [1, 2, 4, 6],
        "samples/pictures_animated": [6],
    }
    for step, name in ((1, numbered[0]), (4, numbered[3]), (6, "samples/pictures/final.png")):
        assert shown["samples/pictures"][step] == written[name]
    gif = written["samples/pictures/animation.gif"]
    assert shown["samples/pictures_animated"][6] == gif
    animation = Image.open(io.BytesIO(gif))
    assert animation.n_frames == 7 and animation.info["loop"] == 0
    for number, name in enumerate([*numbered, "samples/pictures/final.png"]):
        animation.seek(number)
        np.testing.assert_array_equal(animation.convert("L"), tf.io.decode_png(written[name])[..., 0])


@pytest.mark.parametrize("every", [1, 3, None])
def test_a_resumed_run_has_the_frames_of_an_unbroken_one(tmp_path, every):
    Learning(run_in(tmp_path / "whole"), every=every).train(7).frames.on_train_end({"epoch": 5})
    broken = Learning(run_in(tmp_path / "broken"), every=every).train(6)
    broken.frames.on_train_end()  # and then killed, after a checkpoint of epoch 3
    again = Learning(run_in(tmp_path / "broken"), every=every)
    again.frames.set_state({"epochs_done": 3})
    again.frames.purge(3)
    kept = [f"samples/pictures/{epoch:06}.png" for epoch in (1, 2, 3)]
    assert sorted(files(tmp_path / "broken")) == (kept if every else kept[:2])
    again.train(7, first=3).frames.on_train_end({"epoch": 5})
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert pictures_shown(tmp_path / "broken") == pictures_shown(tmp_path / "whole")
    again.frames.on_train_end({"epoch": 5})  # a finished run that is resumed
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert pictures_shown(tmp_path / "broken") == pictures_shown(tmp_path / "whole")


def test_a_piano_roll_has_time_to_the_right_and_pitch_up():
    roll = np.zeros((8, 88), np.uint8)
    roll[:4, 10], roll[4:, 80] = 1, 1  # low first, then high
    figure = piano_roll_figure([roll], ["one"], lowest=21, steps_per_beat=2)
    (axes,) = figure.axes
    picture = tf.io.decode_png(png(figure), channels=1).numpy()[..., 0]
    left, bottom, width, height = axes.get_position().bounds
    rows, columns = picture.shape

    def dark(x, pitch):
        low, high = axes.get_ylim()
        y = bottom + height * (pitch - low) / (high - low)
        return picture[int(rows * (1 - y)), int(columns * (left + width * x))] < 128

    assert dark(0.25, 31) and dark(0.75, 101) and not dark(0.75, 31) and not dark(0.25, 101)
    assert axes.get_xlim() == (0, 4)  # beats


@pytest.mark.parametrize("build", ["transformer", "attention_seq2seq"])
def test_where_a_model_looks_is_of_the_sentence_s_own_tokens(build):
    """A row of sum 1 for each target sub-word and the end, over the source's and its end; drawn target downwards."""
    subwords = Subwords.learn(["a dog runs", "ein hund rennt", "dog", "hund"], 30)
    sizes = {"num_layers": 3, "hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2}
    model = models.build_transformer(30, **sizes)
    if build != "transformer":
        model = models.build_attention_seq2seq(
            30, 30, units=4, embedding_dim=4, attention_units=4, output_units=4, dropout=0.0
        )
    looking = model.with_attention()
    found = samples.attention_of(looking, subwords, "a dog", "ein hund rennt")
    for side, text in (("source", "a dog"), ("target", "ein hund rennt")):
        assert "".join(found[side]) == "".join(f"{WORD}{word}" for word in text.split()) + "</s>"
    heads = np.reshape(found["weights"], (-1, len(found["target"]), len(found["source"])))
    assert len(heads) == (2 if build == "transformer" else 1) == max(1, len(found["titles"]))
    np.testing.assert_allclose(heads.sum(-1), 1, atol=1e-5)
    if build == "transformer":
        tokens = {"source": subwords.sources(["a dog"]), "target": subwords.targets(["ein hund rennt"])[0]}
        np.testing.assert_array_equal(heads, looking(tokens)["attention"][0, 1])
    axes = alignment_figure(**found).axes
    assert [label.get_text() for label in axes[0].get_yticklabels()] == found["target"]
    assert len(axes) == len(heads) and axes[0].get_ylim()[0] > axes[0].get_ylim()[1]


def test_where_a_language_model_looks_is_of_the_tokens_that_it_reads():
    tokens = Tokens("character", ("\ufffd", *"abc\n"))
    network = models.build_transformer_lm(num_classes=5, num_layers=3, hidden_dim=8, intermediate_dim=8, num_heads=2)
    looks = samples.attention_within(network, tokens, "abx\nc", 4)
    assert looks["source"] == looks["target"] == ["a", "b", "\ufffd", "\n"]
    assert looks["titles"] == ["layer 2 of 3, head 1 of 2", "layer 2 of 3, head 2 of 2"]
    wanted = network.with_attention()(tokens.encode(["abx\n"]).to_tensor())["attention"][0, 1]
    np.testing.assert_array_equal(looks["weights"], wanted)
    assert samples.attention_within(network, tokens, "", 4) is None
    assert len(alignment_figure(**looks).axes) == 2


@pytest.mark.parametrize(("rows", "columns", "heads"), [(30, 30, 4), (8, 12, 4), (20, 6, 2), (30, 30, 1)])
def test_the_titles_of_attention_are_within_the_picture(rows, columns, heads):
    titles = [f"layer 1 of 2, head {head}" for head in range(heads)]
    figure = alignment_figure(np.ones((heads, rows, columns)), ["a"] * columns, ["b"] * rows, titles)
    png(figure)
    assert max(axes.title.get_window_extent().y1 for axes in figure.axes) < figure.bbox.height
