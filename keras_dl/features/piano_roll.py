"""Piano-rolls, uint8 (T, 88), read from MIDI files and written to them: one row per time step, 1 where a note sounds.

Shapes: B pieces, T time steps, 88 notes.
"""

import dataclasses
from typing import Annotated, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.errors import UserError
from keras_dl.features import midi
from keras_dl.features.base import Feature
from keras_dl.features.midi import LOWEST, NOTES
from keras_dl.figures import figure_of, plain, png
from keras_dl.imports import tensorflow as tf
from keras_dl.wording import counted

RATE = 16_000  # samples per second of the sound on TensorBoard


class RollConfig(TypedDict):
    steps_per_beat: NotRequired[Annotated[int, Meta(ge=1, le=10_000)]]
    beats_per_minute: NotRequired[Annotated[float, Meta(gt=0, le=10_000)]]


@dataclasses.dataclass(frozen=True)
class PianoRoll:
    """The pre-processing of music: at every time step the input is the notes of the step before, the target those now.

    Attributes:
        notes: number of notes.
        lowest: MIDI number of the first.
        pad: T is padded to a multiple of it, so that there are few lengths and few traces.
    """

    notes: int = NOTES
    lowest: int = LOWEST
    pad: int = 16

    def __call__(self, rolls):
        """uint8 or bool (B, T, 88) -> float32."""
        return tf.cast(rolls, tf.float32)

    def batch(self, raw):
        """{"roll": tf.RaggedTensor uint8 (B, None, 88)} -> (x, y, weight).

        Returns:
            x: float32 (B, T, 88), y delayed by one step, with zeros first.
            y: float32 (B, T, 88), zeros after the end of the roll.
            weight: float32 (B, T), 1 at the steps of the roll and 0 after its end.
        """
        rolls = raw["roll"]
        y = self(rolls.to_tensor(shape=[None, None, self.notes]))
        y = tf.pad(y, [[0, 0], [0, -tf.shape(y)[1] % self.pad], [0, 0]])
        y = tf.ensure_shape(y, [None, None, self.notes])
        x = tf.pad(y, [[0, 0], [1, 0], [0, 0]])[:, :-1]
        return x, y, tf.sequence_mask(rolls.row_lengths(), tf.shape(y)[1], tf.float32)

    def config(self):
        return {"kind": "piano_roll", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class Roll(Feature):
    """Piano-rolls: uint8 (B, T, 88), padded to the longest of the request.

    Attributes:
        steps_per_beat: time steps per quarter note; None if a card does not say it.
        beats_per_minute: the tempo for writing a roll that is not the answer to a file.
        examples: uint8 (n, T, 88) with which an export is tested; None for a scale.
    """

    steps_per_beat: int | None = None
    beats_per_minute: float = 120.0
    examples: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    kind = "roll"
    dtype = "uint8"
    shape = (None, None, NOTES)
    suffixes = (".mid", ".midi")
    plural = "MIDI files"
    counted = "pieces"
    summarised = True
    written_as = (".mid",)
    CONFIG = RollConfig

    def config(self):
        return {"steps_per_beat": self.steps_per_beat, "beats_per_minute": float(self.beats_per_minute)}

    def not_for(self, data):
        return [
            f"music of another style than {data}; it reads which of 88 notes sound at each time step, nothing of "
            "loudness, instruments or notes struck again"
        ]

    def in_numpy(self, name):
        return [
            f"# uint8 (n, time steps, {NOTES}), 1 where a note sounds, from MIDI note {LOWEST} on",
            f'{name} = np.load("{name}.npy")',
        ]

    def read(self, source):
        """The midi.Piece of a file: its roll uint8 (T, 88), its tempo, and what was left out."""
        try:
            return midi.read(source.content, self._grid())
        except midi.UnreadableMidi as error:
            raise UserError(f"{source.place} {error.reason}.") from error

    def batch(self, values):
        return np.stack([piece.roll for piece in values])

    def remarks(self, place, values):
        return [f"{place}: {what}: {count:,}" for piece in values for what, count in piece.remarks.items()]

    def write(self, value, path, like=None):
        """Write a roll as MIDI, in the tempo of the piece `like` if that is given."""
        from keras_dl.features import sound

        tempo = self.beats_per_minute if like is None else like.beats_per_minute
        roll = np.asarray(getattr(value, "roll", value), np.uint8)
        sound.write_midi(roll, path, steps_per_beat=self._grid(), beats_per_minute=tempo)

    def show(self, value):
        return f"{counted(len(value), 'steps')}, {counted(int(np.sum(value)), 'keys')} on"

    def pictures(self, values, titles=()):
        """One picture of the rolls, one below the other."""
        titles = titles or [self.show(roll) for roll in values]
        figure = piano_roll_figure(values, titles, lowest=LOWEST, steps_per_beat=self._grid())
        return [("; ".join(titles), png(figure))]

    def summary(self, tag, values, titles=()):
        """Write a picture of the rolls, one below the other, and the sound of the first."""
        from keras_dl.features import sound

        [(_, picture)] = self.pictures(values, titles)
        tf.summary.image(f"{tag}/piano_roll", tf.io.decode_png(picture, channels=3)[None])
        grid = {"steps_per_beat": self._grid(), "beats_per_minute": self.beats_per_minute}
        tf.summary.audio(f"{tag}/sound", sound.sound(values[0], **grid, rate=RATE)[None, :, None], RATE)

    def example(self):
        if self.examples is not None:
            return np.asarray(self.examples, np.uint8)
        return np.eye(16, NOTES, 40, np.uint8)[None]

    def in_python(self):
        return f"tf.zeros([1, 1, {NOTES}], tf.uint8)"

    def in_rest(self):
        return [[0] * NOTES]

    def on_command_line(self):
        return "PIECE.mid"

    def _grid(self):
        if self.steps_per_beat is None:
            raise UserError("a piano-roll's steps_per_beat must be said; the export's card does not say it.")
        return self.steps_per_beat


class Steps(Feature):
    """The number of time steps of each roll of a request: int32 (B,)."""

    kind = "roll_steps"
    dtype = "int32"
    follows = True

    def of(self, piece):
        return len(piece.roll)

    def of_batch(self, rolls):
        return np.full(len(rolls), rolls.shape[1], np.int32)

    def in_python(self):
        return "tf.constant([1])"

    def in_numpy(self, name):
        return [f"{name} = np.full(len(roll), roll.shape[1], np.int32)"]

    def in_rest(self):
        return 1


def piano_roll_figure(rolls, titles, *, lowest, steps_per_beat):
    """Draw piano-rolls one below the other: time in beats on the x axis, pitch on the y axis.

    Args:
        rolls: list of uint8 (T, 88).
        titles: a title for each.
        lowest: MIDI number of column 0.
        steps_per_beat: time steps per quarter note.
    """
    figure = figure_of(6, 2.4 * len(rolls))  # legible too where TensorBoard shows it at 310 pixels
    for row, (roll, title) in enumerate(zip(rolls, titles, strict=True), 1):
        axes = figure.add_subplot(len(rolls), 1, row, ylabel="MIDI note", xlabel="beats")
        axes.set_title(plain(title, 60), fontsize=11)
        beats = len(roll) / steps_per_beat
        axes.imshow(
            roll.T, origin="lower", aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest",
            extent=(0, beats, lowest - 0.5, lowest + roll.shape[1] - 0.5),
        )  # fmt: skip
        played = roll.any(0).nonzero()[0]
        if len(played):
            axes.set_ylim(lowest + played[0] - 2, lowest + played[-1] + 2)
    return figure
