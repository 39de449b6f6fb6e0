"""Piano-rolls, uint8 (T, 88): one row a time step, 1 where a key sounds; read from MIDI files and written to them.

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
from keras_dl.figures import figure_of, png
from keras_dl.imports import tensorflow as tf

RATE = 16_000  # samples a second of what TensorBoard plays


class RollConfig(TypedDict):
    steps_per_beat: NotRequired[Annotated[int, Meta(ge=1, le=10_000)]]
    beats_per_minute: NotRequired[Annotated[float, Meta(gt=0, le=10_000)]]


@dataclasses.dataclass(frozen=True)
class PianoRoll:
    """The one pre-processing: at every step the keys before are the input and the keys now the target."""

    notes: int = NOTES
    lowest: int = LOWEST
    pad: int = 16  # time is padded to a multiple of it: few lengths, few traces

    def __call__(self, rolls):
        """uint8 or bool (B, T, 88) -> float32."""
        return tf.cast(rolls, tf.float32)

    def batch(self, raw):
        """{"roll": tf.RaggedTensor uint8 (B, None, 88)} -> (x, y, weight).

        Returns:
            x: float32 (B, T, 88), y one step late, zeros first.
            y: float32 (B, T, 88), zeros where the roll has ended.
            weight: float32 (B, T), 1 at the steps of the roll and 0 behind it.
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
    """Piano-rolls: uint8 (B, T, 88), each as long as the longest of the request.

    Attributes:
        steps_per_beat: time steps a quarter note; None where a card does not say it.
        beats_per_minute: the tempo in which a roll is written that answers no file.
        examples: uint8 (n, T, 88) with which an export is tried; None for a scale.
    """

    steps_per_beat: int | None = None
    beats_per_minute: float = 120.0
    examples: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    kind = "roll"
    dtype = "uint8"
    shape = (None, None, NOTES)
    suffixes = (".mid", ".midi")
    plural = "MIDI files"
    written_as = (".mid",)
    CONFIG = RollConfig

    def config(self):
        return {"steps_per_beat": self.steps_per_beat, "beats_per_minute": float(self.beats_per_minute)}

    def read(self, source):
        """A midi.Piece: its roll uint8 (T, 88), its tempo, and what was left out of it."""
        try:
            return midi.read(source.content, self._grid())
        except midi.UnreadableMidi as error:
            raise UserError(f"{source.place} {error.reason}.") from error

    def batch(self, values):
        return np.stack([piece.roll for piece in values])

    def remarks(self, place, values):
        return [f"{place}: {what}: {count:,}" for what, count in values[0].remarks.items()]

    def write(self, value, path, like=None):
        """Write a roll as MIDI, in the tempo of the piece that it answers."""
        from keras_dl.features import sound

        tempo = self.beats_per_minute if like is None else like.beats_per_minute
        roll = np.asarray(getattr(value, "roll", value), np.uint8)
        sound.write_midi(roll, path, steps_per_beat=self._grid(), beats_per_minute=tempo)

    def show(self, value):
        return f"{len(value)} steps, {int(np.sum(value))} keys on"

    def summary(self, tag, values, titles=()):
        """A picture of the rolls, one below the other, and the sound of the first."""
        from keras_dl.features import sound

        titles = titles or [self.show(roll) for roll in values]
        figure = piano_roll_figure(values, titles, lowest=LOWEST, steps_per_beat=self._grid())
        tf.summary.image(f"{tag}/piano_roll", tf.io.decode_png(png(figure), channels=3)[None])
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
    """How many time steps each roll of a request has: int32 (B,)."""

    kind = "roll_steps"
    dtype = "int32"
    follows = True

    def of(self, piece):
        return len(piece.roll)

    def of_batch(self, rolls):
        return np.full(len(rolls), rolls.shape[1], np.int32)

    def in_python(self):
        return "tf.constant([1])"

    def in_rest(self):
        return 1


def piano_roll_figure(rolls, titles, *, lowest, steps_per_beat):
    """Draw piano-rolls one below the other: time in beats to the right, pitch up.

    Args:
        rolls: list of uint8 (T, 88).
        titles: a line above each.
        lowest: MIDI number of column 0.
        steps_per_beat: time steps a quarter note.
    """
    figure = figure_of(10, 2.6 * len(rolls))
    for row, (roll, title) in enumerate(zip(rolls, titles, strict=True), 1):
        axes = figure.add_subplot(len(rolls), 1, row, title=title, ylabel="MIDI note", xlabel="beats")
        beats = len(roll) / steps_per_beat
        axes.imshow(
            roll.T, origin="lower", aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest",
            extent=(0, beats, lowest - 0.5, lowest + roll.shape[1] - 0.5),
        )  # fmt: skip
        played = roll.any(0).nonzero()[0]
        if len(played):
            axes.set_ylim(lowest + played[0] - 2, lowest + played[-1] + 2)
    return figure
