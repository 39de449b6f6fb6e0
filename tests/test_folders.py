"""A folder of pictures: which splits and classes it has, and that all that is left out is said."""

import errno
import itertools
import os
import shutil
import tempfile
import time

import numpy as np
import pytest
from test_data import folder_of, png, write

from keras_dl.data import folders, images, own_files
from keras_dl.errors import UserError


def load(folder, **options):
    return images.load(str(folder), image_size=8, **options)


def said(folder, **options):
    splits = load(folder, **options)
    return " ".join([*splits.notes, *splits.warnings])


def lengths(splits):
    return [len(part) for part in (splits.train, splits.validation, splits.test)]


def mistake(folder):
    with pytest.raises(UserError) as error:
        load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


# Splits


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (("train", "val", "test"), [12, 4, 6]),
        (("Train", "VALID", "Test"), [12, 4, 6]),
        (("training", "dev", "testing"), [12, 4, 6]),
        (("train", "validation", None), [10, 4, 2]),
        (("train", None, "test"), [10, 2, 6]),
        (("TRAIN", None, None), [8, 2, 2]),
        (("training_set", None, "test_set"), [10, 2, 6]),
        (("seg_train", "seg_eval", "seg_test"), [12, 4, 6]),
        (("train2017", "val2017", None), [10, 4, 2]),
        (("trn", None, "tst"), [10, 2, 6]),
        (("trainval", None, "test"), [10, 2, 6]),
    ],
)
def test_splits_are_taken_by_their_usual_names_and_what_is_missing_is_held_out(tmp_path, names, want):
    for name, each in zip(names, (6, 2, 3), strict=True):
        if name:
            folder_of(tmp_path / name, each=each, seed=each)
    splits = load(tmp_path)
    assert splits.info.classes == ("cat", "dog") and lengths(splits) == want
    missing = [part for part, name in zip(("train", "validation", "test"), names, strict=True) if not name]
    text = " ".join(splits.notes)
    assert text.count("is held out") == len(missing) and all(f"no {part} split in" in text for part in missing)


def test_classes_may_be_called_like_splits(tmp_path):
    folder_of(tmp_path / "a", classes=("train", "test", "car"), each=4)
    assert load(tmp_path / "a").info.classes == ("car", "test", "train")
    folder_of(tmp_path / "b" / "train", classes=("steam", "diesel"), each=4)  # a class with sub-folders
    folder_of(tmp_path / "b", classes=("car", "bus"), each=4)
    assert load(tmp_path / "b").info.classes == ("bus", "car", "train")


def test_classes_that_look_like_splits_are_said(tmp_path):
    for name in ("query", "gallery"):
        folder_of(tmp_path / "pets" / name, each=4, seed=len(name))
    splits = load(tmp_path / "pets")
    assert splits.info.classes == ("gallery", "query")
    assert "gallery, query are taken for classes, and have the same sub-folders (cat, dog): if they are splits" in (
        " ".join(splits.notes)
    )
    assert "taken for classes" not in said(folder_of(tmp_path / "other"))


def test_a_test_folder_without_classes_has_no_labels(tmp_path):
    folder_of(tmp_path / "train", each=6)
    write(tmp_path, "test/1.png", np.zeros((9, 9, 3)))
    write(tmp_path, "labels.csv", b"1,cat")
    write(tmp_path, "extra/x.png", b"")
    splits = load(tmp_path)
    text = " ".join(splits.notes)
    assert lengths(splits) == [8, 2, 2] and splits.info.classes == ("cat", "dog")
    for part in ("no test split", f"{own_files.NO_CLASSES}: 1 (test/1.png)", f"{own_files.OUTSIDE}: 1 (labels.csv)"):
        assert part in text
    assert f"{own_files.NO_SPLIT}: 1 (extra/x.png)" in text


def test_splits_that_contradict_each_other_are_refused(tmp_path):
    for name in ("train", "val", "Valid"):
        folder_of(tmp_path / "a" / name, each=2)
    assert "Valid/ and val/ are both the validation split; keep one" in mistake(tmp_path / "a")
    for name in ("val", "test"):
        folder_of(tmp_path / "b" / name, each=2)
    assert "has val/ and test/ but no train/" in mistake(tmp_path / "b")
    folder_of(tmp_path / "c" / "train", each=4)
    folder_of(tmp_path / "c" / "test", classes=("Cat", "dog"), each=2)
    text = mistake(tmp_path / "c")
    assert "a class must have the same name in all splits, letter case too" in text and "test/Cat" in text


# The same picture twice


def test_a_picture_that_is_in_train_and_in_test_is_said_with_the_count(tmp_path):
    for name, seed in (("train", 1), ("test", 2)):
        folder_of(tmp_path / name, each=4, seed=seed)
    assert "too:" not in said(tmp_path)
    for number in (0, 1):
        shutil.copy(tmp_path / "train" / "cat" / f"{number}.png", tmp_path / "test" / "cat" / f"same{number}.png")
    text = said(tmp_path)
    assert (
        "2 of 10 pictures of the test split are in train or validation too: test/cat/same0.png is train/cat/0.png"
        in text
    )
    shutil.copy(tmp_path / "train" / "dog" / "2.png", tmp_path / "train" / "cat" / "wrong.png")
    text = said(tmp_path)
    assert "1 picture stands in more than one class: train/cat/wrong.png is train/dog/2.png" in text


# What is left out


def test_what_is_left_out_is_said_with_count_and_reason(tmp_path):
    folder = folder_of(tmp_path / "pets")
    for name in ("Thumbs.db", "cat/desktop.ini", "cat/.DS_Store", "cat/._1.png", "dog/.cache/x.png", "notes.txt"):
        write(folder, name, b"x")
    write(folder, "__MACOSX/cat/1.png", b"x")
    write(folder, "lonely.png", np.zeros((9, 9, 3)))
    (folder / "cat" / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "dog" / "again").symlink_to(folder / "dog")
    os.mkfifo(folder / "dog" / "pipe.png")
    splits = load(folder)
    assert sum(lengths(splits)) == 16 and splits.info.classes == ("cat", "dog")
    assert splits.notes == (
        "left out, hidden or the system's own: 6 (Thumbs.db, __MACOSX, cat/.DS_Store, ...)",
        "left out, links to nothing: 1 (cat/dangling.png)",
        "left out, links that lead back: 1 (dog/again)",
        "left out, neither files nor folders: 1 (dog/pipe.png)",
        f"left out, {own_files.OUTSIDE}: 2 (lonely.png, notes.txt)",
    )


def test_links_to_folders_and_files_are_followed(tmp_path):
    elsewhere = folder_of(tmp_path / "elsewhere", each=5)
    folder = tmp_path / "pets"
    (folder / "dog").mkdir(parents=True)
    (folder / "cat").symlink_to(elsewhere / "cat")
    (folder / "dog" / "more").symlink_to(elsewhere / "dog")
    (folder / "dog" / "one.png").symlink_to(elsewhere / "dog" / "0.png")
    splits = load(folder)
    assert sum(lengths(splits)) == 11
    labels = np.concatenate([part.features["label"] for part in (splits.train, splits.validation, splits.test)])
    assert np.bincount(labels).tolist() == [5, 6]


def test_folders_that_links_reach_in_a_billion_ways_are_walked_through_in_no_time(tmp_path):
    folder = folder_of(tmp_path / "pets")
    deep = [folder / "cat" / f"{level}" for level in range(30)]
    for level in deep:
        level.mkdir()
    for level, below in itertools.pairwise(deep):
        (level / "a").symlink_to(below)
        (level / "b").symlink_to(below)
    began = time.monotonic()
    text = said(folder)
    assert "folders that links have reached 16 times before" in text and time.monotonic() - began < 20


def test_a_disk_without_room_for_the_pixels_is_one_line(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "pets")
    monkeypatch.setattr(folders, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert "GiB in a temporary folder: No such file or directory. Name one with more room, TMPDIR=" in mistake(folder)
    monkeypatch.setattr(tempfile, "tempdir", None)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)  # before a page of the file is touched
    assert "16 pictures of 8 x 8 need 0.0 GiB in a temporary folder: No space left on device." in mistake(folder)


def test_files_that_are_skipped_are_said_by_what_they_are(tmp_path):
    folder = folder_of(tmp_path / "pets")
    whole = (folder / "cat" / "1.png").read_bytes()
    write(folder, "cat/cut.png", whole[: len(whole) // 2])
    write(folder, "cat/page.jpg", b"404 not found")
    write(folder, "dog/empty.png", b"")
    write(folder, "dog/note.txt", b"a note")
    write(folder, "dog/phone.jpg", b"\0\0\0\x18ftypheic" + bytes(20))
    write(folder, "dog/bomb.png", whole[:16] + b"\0\1\0\0" * 2 + whole[24:])
    reasons = (
        "damaged: 1 (cat/cut.png)", "no picture inside: 1 (cat/page.jpg)", "above 33554432 pixels: 1 (dog/bomb.png)",
        "no bytes: 1 (dog/empty.png)", ".txt: 1 (dog/note.txt)", "HEIC: 1 (dog/phone.jpg)",
    )  # fmt: skip
    text = mistake(folder)
    assert "6 of 22 files" in text and f": {'; '.join(reasons)}. Remove them, or go on without them with --skip" in text
    text = said(folder, skip_unreadable=True)
    assert all(f"left out, not readable, {reason}" in text for reason in reasons)


# Names


@pytest.mark.parametrize("name", ["pics [2024]", "a*b?", "**", "back\\slash", "~", "gs:", "x" * 250])
def test_a_folder_may_have_any_name(tmp_path, name):
    splits = load(folder_of(tmp_path / name / "pets [1]", classes=("[a]", "b*")))
    assert splits.info.classes == ("[a]", "b*") and sum(lengths(splits)) == 16


def test_file_names_may_hold_any_bytes_and_are_shown_on_one_line(tmp_path):
    folder = folder_of(tmp_path / "pets")
    for name in (b"caf\xe9.png", b"two\nlines \x1b[31m.png"):
        path = os.path.join(os.fsencode(folder / "cat"), name)
        with open(path, "wb") as file:
            file.write(png(np.zeros((5, 5, 3))).numpy())
    assert sum(lengths(load(folder))) == 18
    (folder / "cat" / "broken\nname\x1b.png").write_bytes(b"")
    assert "cat/broken\\nname\\x1b.png" in mistake(folder)
    text = said(folder, skip_unreadable=True)
    assert text.isprintable() and "cat/broken\\nname\\x1b.png" in text


@pytest.mark.parametrize(
    ("name", "why"),
    [(b"caf\xe9", "must be UTF-8; rename it"), (b"two\nlines", "no control characters; rename it")],
)
def test_a_class_whose_name_cannot_be_written_is_refused_by_that(tmp_path, name, why):
    folder = folder_of(tmp_path / "pets")
    os.rename(folder / "cat", os.path.join(os.fsencode(folder), name).decode("utf-8", "surrogateescape"))
    assert why in mistake(folder)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("~nobody_here/x", "knows no such user"),
        ("a\0b", "must be a string"),
        ("x" * 5000, "File name too long"),
        ("caf\udce9", "must be UTF-8"),
        ("gs://bucket/x", "no data set or folder"),
        ("s3://[x]", "no data set or folder"),
    ],
)
def test_a_folder_that_cannot_be_is_one_line(name, why):
    assert why in mistake(name)


def test_classes_that_differ_by_case_alone_are_said(tmp_path):
    assert "Cat and cat differ by letter case alone and are two classes" in said(
        folder_of(tmp_path / "pets", classes=("Cat", "cat"))
    )
    folder_of(tmp_path / "pets", classes=("dog",), each=0)
    (tmp_path / "pets" / "dog").mkdir()
    assert f"every class needs 3 readable images; got 0 in {tmp_path / 'pets' / 'dog'}" in mistake(tmp_path / "pets")
