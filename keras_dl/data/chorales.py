"""The embedded music: the Bach chorales that music21 ships, as a TFDS builder that downloads nothing.

One time step is an eighth note. A note is 1 if it sounds at the start of the step: notes that begin and end within
one step are lost, and a tied or repeated note is one long note. Chorales stay in their original keys; repeated sections
are played once.
"""

import hashlib
import re

import numpy as np
import tensorflow_datasets as tfds

from keras_dl import console
from keras_dl.extras import needs
from keras_dl.wording import counted

STEPS_PER_BEAT = 2
HELD_OUT = 0.1  # share of the pieces for validation, and for test
WORKERS = 2
ALIKE = 16  # time steps that count as a shared passage: two bars of four beats
FEW = 16  # scores that are read for a smoke test
NOT_CHORALES = {"bwv846"}  # a prelude


class BachChorales(tfds.core.GeneratorBasedBuilder):
    """Sequences of time steps (eighth notes): 88 notes each, 1 where a note sounds; column 0 is MIDI note 21."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="all", description="every chorale"),
        tfds.core.BuilderConfig(name="few", description=f"the first {FEW} files"),
    ]

    def _info(self):
        roll = tfds.features.Tensor(shape=(None, 88), dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"roll": roll, "name": tfds.features.Text()}),
            disable_shuffling=True,
            description="Four-part chorales of Johann Sebastian Bach, shipped with music21.",
            homepage="https://www.music21.org",
        )

    def _split_generators(self, dl_manager):
        paths = files()[: FEW if self.builder_config.name == "few" else None]
        import joblib  # music21 depends on it; unlike multiprocessing, its processes do not run the user's script again
        from joblib.externals.loky import get_reusable_executor

        scores = counted(len(paths), "scores")
        console.say(f"bach_chorales: {scores}, which are read once and kept ...")
        rolls = joblib.Parallel(n_jobs=WORKERS)(joblib.delayed(read)(path) for path in paths)
        get_reusable_executor().shutdown()
        pieces = {path.stem: roll for path, roll in zip(paths, rolls, strict=True)}
        return {part: self._generate_examples(names, pieces) for part, names in split(pieces).items()}

    def _generate_examples(self, names, pieces):
        for i, name in enumerate(names):
            yield i, {"roll": pieces[name], "name": name}


def files():
    """Sorted paths of the chorales' scores, without the analyses and second encodings in the same folder."""
    corpus = needs("music21.corpus", "music", "music: bach_chorales")
    scores = [path for path in corpus.getComposer("bach") if path.suffix in (".mxl", ".xml")]
    return sorted((path for path in scores if path.stem not in NOT_CHORALES), key=lambda path: path.name)


def read(path):
    """Read a score as a piano-roll, uint8 (T, 88)."""
    from music21 import converter, harmony

    score = converter.parse(path, forceSource=True, storePickle=False).flatten()
    spans = [  # the first step that starts within the note, and the first that starts after its end
        (-(-note.offset * STEPS_PER_BEAT // 1), -(-(note.offset + note.quarterLength) * STEPS_PER_BEAT // 1), note)
        for note in score.notes
        if not isinstance(note, harmony.Harmony)
    ]
    roll = np.zeros((int(max(end for _, end, _ in spans)), 88), np.uint8)
    for start, end, note in spans:
        for pitch in note.pitches:
            if 0 <= pitch.midi - 21 < 88:
                roll[int(start) : int(end), pitch.midi - 21] = 1
    return roll


def split(pieces):
    """Split {name: roll} into {"train", "validation", "test": names} so that no two splits share music.

    Pieces with the same BWV number, or with the same two bars (ALIKE steps, in any key), form a group that stays
    together. Groups are sorted by a hash; each goes to the first of test, validation and train that has room for it.
    """
    group, first = {name: name for name in pieces}, {}
    for name, roll in pieces.items():
        for mark in {re.match(r"bwv\d+", name)[0], *_bars(roll)}:
            old, new = group[name], group[first.setdefault(mark, name)]
            if old != new:
                group = {other: new if of == old else of for other, of in group.items()}
    members = {}
    for name, of in group.items():
        members.setdefault(of, []).append(name)
    parts = {"train": [], "validation": [], "test": []}
    room = max(1, round(HELD_OUT * len(pieces)))
    for names in sorted(members.values(), key=lambda names: hashlib.sha256(min(names).encode()).digest()):
        free = [part for part in ("test", "validation") if len(parts[part]) + len(names) <= room]
        parts[(free or ["train"])[0]] += names
    return {part: sorted(names) for part, names in parts.items()}


def _bars(roll):
    """All windows of ALIKE steps of a roll that are not silent, transposed so that the lowest note is in column 0."""
    for start in range(max(1, len(roll) - ALIKE + 1)):
        steps = roll[start : start + ALIKE]
        if steps.any():
            yield np.packbits(np.roll(steps, -np.flatnonzero(steps.any(0))[0], axis=1)).tobytes()
