"""Sentence pairs to translate: dates (embedded), Multi30k, or two text files of the user's, aligned line by line.

A split holds its pairs as sub-words and as text: "source" and "target" are Ragged int32, without special tokens;
"source_text" and "target_text" are bytes with runs of white space made one space, the references for scores such as
BLEU. The sub-words are learnt from both sides of the training split together, so source and target share a vocabulary.
"""

import dataclasses
import functools
import hashlib
import itertools
import os

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Tuple, Whole, checked
from keras_dl.data import dates, prepared
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Ragged, Splits, counts
from keras_dl.data.facts import Facts, sizes, unigram_nats
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.features import reading, unknown
from keras_dl.features.subwords import EOS, SPECIAL, UNK, Subwords, normalised
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting
from keras_dl.wording import counted, percent, verb

with quiet_tensorflow():
    import tensorflow as tf

WHO = "pairs.load"  # the name of `load` in messages
SETS = {"dates": ("en", "iso"), "multi30k": ("en", "de")}  # name: (source, target) by default
LICENCES = {
    "dates": "Unicode License (CLDR)",
    "multi30k": "for non-commercial research and education only (captions of Flickr30k)",
}
TESTS = ("test_2016", "test_2017")  # test splits of Multi30k
DATES = 1000  # pairs in the validation split and in the test split
SHARE, MOST = 0.05, 2000  # of the user's own pairs: validation, and as many for test
DROPPED = 0.05  # share of the training pairs left out as too long from which a warning is given
CHUNK = 4096  # sentences that are encoded at once


@waiting("loading the sentence pairs ...")
@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    target: Text | None = None,
    vocabulary_size: Whole(1, 1_000_000) = 8000,
    longest: Whole(1, 1_000_000) = 200,
    examples: Whole(1, 10_000_000) = 30_000,
    chained: Tuple(Whole(1, 100), 2, 2) = (1, 3),
    test: OneOf(*TESTS) = "test_2016",
):
    """Load sentence pairs: Splits of sub-words and texts, as described at the top of this file.

    Args:
        name: "dates" (English to ISO form; "dates/de-fr" and the like), "multi30k" (English to German; "multi30k/fr-cs"
            and the like), or, with `target`, a text file in UTF-8, one sentence per line.
        seed: generates the dates, and draws the splits of the user's files: 5 percent validation, 5 percent test, at
            most 2,000 pairs each; pairs with the same source are in one split.
        target: the file of the translations, line by line; pairs with an empty side are left out.
        vocabulary_size: at most this many sub-words, of both languages together.
        longest: training pairs with more sub-words than this on a side are left out.
        examples: number of training pairs; dates only.
        chained: lowest and highest number of items in a source; dates only.
        test: "test_2016" or "test_2017"; Multi30k only.

    Returns:
        Splits. Their notes say which pairs were left out, their warnings which pairs of train also occur in another
        split, and which characters train does not have. Their info has, under features, for "source" and "target" each
        the "language" (for the user's files, the endings of their names), the "vocabulary_size" and "longest", the
        number of sub-words of the longest sentence in all splits; under details, the "sha256" of all pairs in UTF-8
        (source, tab, target, line end), the number of training pairs that were "dropped" as too long, and the number of
        pairs "skipped" for an empty side.

    Raises:
        UserError: no such set (the nearest is named), a file that cannot be read or is not UTF-8, files with different
            numbers of lines, the same file twice, too few pairs, an option out of range.
    """
    base, _, two = str(name).partition("/")
    skipped, notes = 0, []
    if target is not None and base in SETS and not os.path.lexists(name):
        raise UserError(f'{WHO}: target goes with a file of sources; got {target!r} with the data set "{name}".')
    if target is not None:
        files = reading.path_of(name, "--source"), reading.path_of(target, "--target")
        name, origin, languages = files[0].name, f"text files {files[0].name} and {files[1].name}", _endings(*files)
        texts, skipped, notes = _of_files(*files, seed)
    elif base in SETS:
        languages = tuple(two.split("-")) if two else SETS[base]
        if len(languages) != 2:
            raise UserError(f'{WHO}: the languages of {base} must be two, such as "{base}/de-fr"; got "{two}".')
        name = "-".join([base, *languages]) if two else base
        if base == "dates":
            texts, origin = _of_dates(seed, languages, examples, chained), dates.SOURCE
        else:
            texts, origin = _of_multi30k(languages, test), f"Elliott et al. 2016, 2017; Barrault et al. 2018; {test}"
    else:
        near, sets = nearest(base, SETS), ", ".join(SETS)
        there = os.path.exists(reading.path_of(name, WHO))
        also = "; a file needs target, the file of its translations" if there else near
        raise UserError(f'{WHO}: no data set "{name}"{also}. Sets: {sets}.')

    with waiting("learning the sub-words ..."):
        subwords = Subwords.learn([text for side in texts["train"] for text in side], vocabulary_size)
    encode = tf.function(subwords.encode, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    with waiting("encoding the sentences as sub-words ..."):
        splits = {part: _examples(encode, *texts[part]) for part in PARTS}
    lengths = {part: _lengths(pairs) for part, pairs in splits.items()}
    keep = np.flatnonzero(lengths["train"].max(1) <= longest)
    if not len(keep):
        most = counted(longest, "sub-words")
        raise UserError(f"{WHO}: no training pair of {name} has at most {most} a side, which is what --longest allows.")
    dropped, splits["train"] = len(splits["train"]) - len(keep), splits["train"].take(keep)
    lengths["train"] = lengths["train"][keep]
    if dropped:
        notes.append(f"left out of train, longer than {counted(longest, 'sub-words')}: {counted(dropped, 'pairs')}")
    warnings = tuple(_warnings(texts, subwords))
    features = {
        side: {"language": language, "vocabulary_size": len(subwords.pieces), "longest": longest_of_all}
        for side, language, longest_of_all in zip(
            ("source", "target"), languages, np.concatenate([*lengths.values()]).max(0).tolist(), strict=True
        )
    } | {"source_text": {}, "target_text": {}}
    details = {"sha256": _sha256(splits), "dropped": dropped, "skipped": skipped}
    info = Info(name, origin, features, counts(splits), details, OWN if target is not None else LICENCES[base])
    notes = tuple(notes)
    return Splits(**splits, info=info, preprocess=subwords, notes=notes, warnings=warnings, facts=Pairs(longest))


@dataclasses.dataclass(frozen=True)
class Pairs(Facts):
    """The facts of sentence pairs.

    Attributes:
        longest: sub-words of a side beyond which a training pair is left out.
    """

    longest: int
    unit = "pairs"
    compared = True

    def sizes(self, splits):
        lengths = [_lengths(examples).max(1) for examples in splits.parts.values()]
        return sizes("sub-words of a pair's longer side", np.concatenate(lengths))

    def baseline(self, splits):
        """Nats per sub-word of the targets, sentence ends included, as facts.unigram_nats: the source is not read."""
        train, validation = (
            np.concatenate([part.features["target"].values, np.full(len(part), EOS)])
            for part in (splits.train, splits.validation)
        )
        value = unigram_nats(train, validation, len(splits.preprocess.pieces))
        return {"metric": "nats", "value": value, "what": "every sub-word with its frequency, whatever the source"}

    def warnings(self, splits):
        sentences = super().warnings(splits)
        dropped = splits.info.details["dropped"]
        share = dropped / max(1, dropped + len(splits.train))
        if share >= DROPPED:
            longest = counted(self.longest, "sub-words")
            sentences.append(
                f"{percent(share)} of the training pairs are left out, longer than {longest}: take a larger --longest, "
                " or cut long lines into sentences"
            )
        longest = _lengths(splits.train).max()
        for part in ("validation", "test"):
            longer = int((_lengths(splits.parts[part]).max(1) > longest).sum())
            if longer:
                sentences.append(
                    f"{counted(longer, 'pairs')} of {len(splits.parts[part]):,} of {part} {verb(longer, 'are')} longer "
                    "than all of train "
                    f"({counted(longest, 'sub-words')}): translations of longer sentences than those learnt from are "
                    "often bad"
                )
        return sentences


def _warnings(texts, subwords):
    """Sentences on pairs of train that also occur in another split, and on characters that train does not have."""
    train = set(zip(*texts["train"], strict=True))
    for part in ("validation", "test"):
        count = sum(pair in train for pair in zip(*texts[part], strict=True))
        if count:
            said = f"{counted(count, 'pairs')} of {len(texts[part][0]):,} {verb(count, 'stand')} in train too"
            yield f"{part}: {said}, word for word"
        unknowns = subwords.unknowns("\n".join(itertools.chain(*texts[part])))
        if unknowns:
            yield unknown.sentence(part, unknowns, "character", SPECIAL[UNK])


def _of_dates(seed, languages, examples, chained):
    """{split: (sources, targets)}."""
    source, target = languages
    counts = dict.fromkeys(PARTS, DATES) | {"train": examples}
    make = functools.partial(dates.generate, source=source, target=target, chained=chained)
    return {part: make(count, seed, part=part) for part, count in counts.items()}


def _of_multi30k(languages, test):
    """{split: (sources, targets)}."""
    from keras_dl.data import multi30k

    known = multi30k.LANGUAGES
    if not set(languages) <= set(known) or languages[0] == languages[1]:
        raise UserError(f"{WHO}: multi30k needs two of {', '.join(known)}; got {' and '.join(languages)}.")
    if test == "test_2017" and "cs" in languages:
        raise UserError(f"{WHO}: multi30k has no test_2017 in cs; take test_2016.")
    make = functools.partial(multi30k.Multi30k, config="-".join(sorted(languages)))
    builder = prepared.builder("multi30k", WHO, make)
    texts = {}
    for part, split in zip(PARTS, ("train", "validation", test), strict=True):
        lines = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
        texts[part] = [[line.decode() for line in lines[language].numpy()] for language in languages]
    return texts


def _of_files(source, target, seed):
    """({split: (sources, targets)}, number of pairs with an empty side, notes) of the user's files."""
    sides = [[normalised(line) for line in reading.lines(reading.read(path, WHO))] for path in (source, target)]
    if os.path.samefile(source, target):
        raise UserError(f"{WHO}: source and target must be two files; got {source} twice.")
    counts = [len(lines) for lines in sides]
    if counts[0] != counts[1]:
        raise UserError(
            f"{WHO}: {source} and {target} must have as many lines as each other; got {counts[0]} and {counts[1]}."
        )
    empty = np.array([[not line.strip() for line in lines] for lines in sides], bool)
    both, one = np.flatnonzero(empty.all(0)), np.flatnonzero(empty[0] != empty[1])
    notes = []
    if len(both):
        notes.append(f"left out, empty on both sides: {counted(len(both), 'pairs')}")
    if len(one):
        where = (source, target)[int(empty[1, one[0]])]
        pairs = counted(len(one), "pairs")
        notes.append(f"left out, empty on one side: {pairs}, the first is line {one[0] + 1} of {where.name}")
    sides = [[line for line, no in zip(lines, empty.any(0), strict=True) if not no] for lines in sides]
    parts = _drawn(sides[0], seed, f"{source} and {target}")
    texts = {part: [[lines[i] for i in rows] for lines in sides] for part, rows in parts.items()}
    return texts, len(both) + len(one), notes


def _drawn(sources, seed, who):
    """{split: indices of its pairs, ascending}, drawn at random; pairs with equal sources are in one split."""
    groups = {}
    for i, source in enumerate(sources):
        groups.setdefault(source, []).append(i)
    groups = list(groups.values())
    if len(groups) < len(PARTS):
        raise UserError(f"{WHO}: {who} must have at least {len(PARTS)} different sources; got {len(groups)}.")
    room = dict.fromkeys(("test", "validation"), min(MOST, round(SHARE * len(sources))))
    parts = {part: [] for part in PARTS}
    for k in np.random.default_rng(seed).permutation(len(groups)):
        fits = [part for part, left in room.items() if len(groups[k]) <= left]
        part = max(fits, key=room.get, default="train")
        parts[part].append(groups[k])
        if part in room:
            room[part] -= len(groups[k])
    for part in room:
        if not parts[part]:  # every group was too large for it
            parts["train"].sort(key=len)
            parts[part].append(parts["train"].pop(0))
    return {part: sorted(itertools.chain(*rows)) for part, rows in parts.items()}


def _endings(source, target):
    endings = source.suffix[1:], target.suffix[1:]
    return endings if all(endings) and endings[0] != endings[1] else ("source", "target")


def _examples(encode, sources, targets):
    features = {}
    for side, texts in (("source", sources), ("target", targets)):
        texts = np.array([normalised(text).encode() for text in texts], object)
        rows_of_ids = [encode(tf.constant(texts[i : i + CHUNK])) for i in range(0, len(texts), CHUNK)]
        lengths = np.concatenate([rows.row_lengths().numpy() for rows in rows_of_ids])
        values = np.concatenate([rows.flat_values.numpy() for rows in rows_of_ids])
        features |= {side: Ragged(values, np.cumsum([0, *lengths])), f"{side}_text": texts}
    return Examples(features)


def _lengths(examples):
    """(N, 2) lengths of source and target in sub-words."""
    return np.stack([examples.features[side].lengths for side in ("source", "target")], 1)


def _sha256(splits):
    texts = [splits[part].features[f"{side}_text"] for part in PARTS for side in ("source", "target")]
    digest = hashlib.sha256()
    for sources, targets in zip(texts[::2], texts[1::2], strict=True):
        digest.update(b"".join(b"%b\t%b\n" % two for two in zip(sources, targets, strict=True)))
    return digest.hexdigest()
