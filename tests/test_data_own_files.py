"""One walk for every kind of a user's folder: its splits, and that of every file it is said what became of it."""

import numpy as np
import pytest

from keras_dl.data import own_files
from keras_dl.errors import UserError


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def find(root, **options):
    return own_files.find(root, "who", (".x", ".y"), "such files", **options)


def names_of(own):
    return {split: [own.below(path) for path in paths] for split, paths in own.files.items()}


def test_files_are_taken_by_their_endings_and_the_others_said(tmp_path):
    own = find(tree(tmp_path, "b.x", "a/c.Y", "a/d.txt", ".hidden.x", "e"))
    assert names_of(own) == {own_files.WHOLE: ["a/c.Y", "b.x"]}
    assert not own.has_splits and own.missing == ["test", "validation"] and own.least(own_files.WHOLE) == 3
    assert own.left_out() == (
        "left out, hidden or the system's own: 1 (.hidden.x)",
        "left out, no such files by their endings: 2 (a/d.txt, e)",
    )


def test_splits_are_folders_and_where_they_may_be_names_of_files_too(tmp_path):
    tree(tmp_path, "Train/a.x", "train.x", "my.val.y", "val/b.x", "other/c.x", "both_train_and_test.x")
    own = find(tmp_path)
    assert names_of(own) == {"train": ["Train/a.x"], "validation": ["val/b.x"]}
    assert own.missing == ["test"] and (own.least("train"), own.least("validation")) == (2, 1)
    assert own.passed == {own_files.NO_SPLIT: ["both_train_and_test.x", "my.val.y", "other/c.x", "train.x"]}
    own = find(tmp_path, by_name=(".x", ".y"))
    assert names_of(own) == {"train": ["Train/a.x", "train.x"], "validation": ["my.val.y", "val/b.x"]}
    assert own.passed == {own_files.NO_SPLIT: ["both_train_and_test.x", "other/c.x"]}


@pytest.mark.parametrize("labelled", [False, True])
def test_a_folder_called_train_alone_is_no_split(tmp_path, labelled):
    tree(tmp_path, "train/a/1.x", "train/b/1.x", "test_flight/a/1.x")
    own = find(tmp_path, labelled=labelled)
    assert list(own.files) == [own_files.WHOLE]
    assert own.classes == (("test_flight", "train") if labelled else ())


@pytest.mark.parametrize("labelled", [False, True])
def test_splits_without_train_or_with_two_folders_are_refused(tmp_path, labelled):
    tree(tmp_path / "a", "val/a/1.x", "val/b/1.x", "test/a/1.x", "test/b/1.x")
    rest = " with one sub-folder a class" if labelled else ""
    with pytest.raises(UserError, match=f"^who: {tmp_path}/a has val/ and test/ but no train/{rest}.$"):
        find(tmp_path / "a", labelled=labelled)
    tree(tmp_path / "b", "train/a/1.x", "train/b/1.x", "val/a/1.x", "dev/a/1.x", "dev/b/1.x")
    with pytest.raises(UserError, match=f"^who: {tmp_path}/b: dev/ and val/ are both the validation split; keep one"):
        find(tmp_path / "b", labelled=labelled)


def test_files_with_labels_stand_class_by_class(tmp_path):
    tree(
        tmp_path, "train/b/1.x", "train/a/2.x", "train/a/deep/1.x", "test/a/1.x", "test/1.x", "1.x", "val/1.x", "c/1.x"
    )
    own = find(tmp_path, labelled=True)
    assert own.classes == ("a", "b") and own.missing == ["validation"]
    assert names_of(own) == {"train": ["train/a/2.x", "train/a/deep/1.x", "train/b/1.x"], "test": ["test/a/1.x"]}
    assert [own.label(path) for path in own.files["train"]] == [0, 0, 1]
    assert own.passed == {
        own_files.OUTSIDE: ["1.x", "test/1.x"], own_files.NO_SPLIT: ["c/1.x"], own_files.NO_CLASSES: ["val/1.x"],
    }  # fmt: skip


def test_a_part_is_drawn_of_every_label_and_nothing_is_lost():
    labels = np.array([0] * 20 + [1] * 10 + [2])
    rest, drawn = own_files.hold_out(31, 0.2, np.random.default_rng(0), labels)
    assert np.bincount(labels[drawn]).tolist() == [4, 2, 1]
    assert sorted([*rest, *drawn]) == list(range(31)) and (np.diff(rest) > 0).all() and (np.diff(drawn) > 0).all()
    rest, drawn = own_files.hold_out(5, 0.1, np.random.default_rng(0))
    assert len(drawn) == 1 and sorted([*rest, *drawn]) == list(range(5))
    other = own_files.hold_out(31, 0.2, np.random.default_rng(1), labels)[1]
    assert (other[:4] != own_files.hold_out(31, 0.2, np.random.default_rng(0), labels)[1][:4]).any()


@pytest.mark.parametrize(
    ("broken", "labelled", "enough"),
    [
        (["a/1.x"], False, True),
        (["a/1.x", "b/1.x", "b/2.x", "a/2.x", "a/3.x"], False, False),  # two are left, of the three that splits need
        (["a/1.x"], True, False),  # two of a class are left, of the three that it needs
        (["b/1.x"], True, True),
    ],
)
def test_to_go_on_without_files_is_offered_only_where_enough_are_left(tmp_path, broken, labelled, enough):
    own = find(tree(tmp_path, *(f"{name}/{i}.x" for name in "ab" for i in (1, 2, 3)), "b/4.x"), labelled=labelled)
    with pytest.raises(UserError) as refused:
        own.refuse([(tmp_path / name, "is cut short") for name in broken], "are no such files", False, "who")
    assert f"who: {len(broken)} of 7 files in {tmp_path} are no such files: is cut short: " in str(refused.value)
    assert ("--skip-unreadable" in str(refused.value)) == enough
    assert ("Replace them" in str(refused.value)) != enough
