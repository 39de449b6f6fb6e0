"""Volumes: the solids' laws, NIfTI files of any orientation, spacing and scale, NPZ files, and a user's folders."""

import itertools
import re

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from keras_dl import errors
from keras_dl.data import solids, volumes
from keras_dl.features import volume_files
from keras_dl.features.base import Source
from keras_dl.features.volumes import Volume, VolumeScaling, slices_figure
from keras_dl.figures import png

RNG = np.random.default_rng


@pytest.fixture
def nibabel():
    return pytest.importorskip("nibabel", reason="extra [signals] is not installed")


# The solids


@pytest.mark.parametrize("name", solids.SOLIDS)
def test_a_solid_has_the_volume_that_is_asked_for_however_it_is_turned(name):
    rng = RNG(0)
    for volume in (400, 1000):
        rotation = solids.rotation_of(rng)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert solids.solid(name, volume, rotation, (0.3, -0.2, 0.1), side=32).sum() == pytest.approx(volume, rel=0.02)


def test_a_solid_is_where_it_is_put_and_turns_with_its_rotation():
    drawn = solids.solid("cylinder", 600, np.eye(3), (2, -1, 0.5))
    np.testing.assert_allclose(ndimage.center_of_mass(drawn), 11.5 + np.array([2, -1, 0.5]), atol=0.05)
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # z' = -x: the axis of the cylinder lies along x
    turned = solids.solid("cylinder", 600, quarter, (0, 0, 0))
    np.testing.assert_allclose(turned, solids.solid("cylinder", 600, np.eye(3), (0, 0, 0)).transpose(2, 1, 0))


def test_the_embedded_volumes_are_balanced_and_a_function_of_the_seed():
    counts = {"train": 16, "test": 8}
    one, again, other = (solids.draw(seed, counts) for seed in (0, 0, 1))
    assert one["train"][0].shape == (16, 24, 24, 24) and one["train"][0].dtype == np.float32
    assert np.bincount(one["train"][1]).tolist() == [2] * 8 and np.bincount(one["test"][1]).tolist() == [1] * 8
    np.testing.assert_array_equal(one["train"][0], again["train"][0])
    assert not np.array_equal(one["train"][0], other["train"][0])


# NIfTI files


def object_of(shape=(12, 10, 8), width=2):
    """A volume without any symmetry, brightest in one corner."""
    x, y, z = np.meshgrid(*(np.arange(side) for side in shape), indexing="ij")
    return (100 * np.exp(-(((x - 3) / 3) ** 2 + ((y - 6) / width) ** 2 + ((z - 5) / width) ** 2)) + 2 * x + y).astype(
        np.float32
    )


def write_nifti(nibabel, path, voxels, *, orientation="RAS", spacing=(1.0, 1.0, 1.0), slope=None):
    """A file whose axes are kept in another order and direction, perhaps as whole numbers with a slope."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-7, 4, 11)
    image = nibabel.Nifti1Image(voxels.astype(np.float32), affine)
    wanted = nibabel.orientations.axcodes2ornt(tuple(orientation))
    image = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), wanted))
    if slope:
        numbers = np.round((np.asarray(image.dataobj) - 3) / slope).astype(np.int16)  # as the file keeps them
        image = nibabel.Nifti1Image(numbers, image.affine)
        image.header.set_slope_inter(slope, 3)
    nibabel.save(image, path)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SRA", "PIR"])
@pytest.mark.parametrize("slope", [None, 2])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_an_object_in_any_orientation_and_scale_is_read_as_one(nibabel, tmp_path, orientation, slope, suffix):
    path, voxels = tmp_path / f"a{suffix}", np.round(object_of())
    write_nifti(nibabel, path, voxels, orientation=orientation, slope=slope)
    volume = volume_files.read(path)
    np.testing.assert_allclose(volume.voxels, voxels, atol=1.01 if slope else 1e-4)  # a step of the slope
    assert volume.spacing == (1.0, 1.0, 1.0) and volume.turned() == (orientation != "RAS")
    np.testing.assert_allclose(volume.affine[:3, 3], (-7, 4, 11), atol=1e-5)
    assert sorted(volume.file_shape) == sorted(voxels.shape)


def test_an_object_with_another_spacing_and_scale_is_the_same_to_a_model(nibabel, tmp_path):
    """Twice the spacing along one axis, in another orientation, times 2 plus 3: what a model reads is nearly equal."""
    fine = object_of((16, 12, 16), width=5)
    coarse = 2 * fine.reshape(16, 12, 8, 2).mean(-1) + 3
    write_nifti(nibabel, tmp_path / "fine.nii.gz", fine)
    write_nifti(nibabel, tmp_path / "coarse.nii.gz", coarse, orientation="LSP", spacing=(1, 1, 2))
    feature, scale = Volume((16, 12, 16), (1.0, 1.0, 1.0)), VolumeScaling((16, 12, 16))
    read = [feature.read(feature.check(str(tmp_path / f"{name}.nii.gz"))) for name in ("fine", "coarse")]
    one, other = scale(np.stack(read)).numpy()[..., 0]
    inner = (slice(None), slice(None), slice(1, -1))
    assert np.corrcoef(one[inner].ravel(), other[inner].ravel())[0, 1] > 0.999
    np.testing.assert_allclose(one[inner], other[inner], atol=0.25)


def test_whole_voxels_are_cut_and_added_around_the_middle():
    voxels = object_of((5, 4, 6))
    cut = volume_files.fitted(voxels, (2.0, 2.0, 2.0), (3, 4, 8), None)
    np.testing.assert_array_equal(cut[:, :, 1:-1], voxels[1:4])
    np.testing.assert_array_equal(cut[:, :, [0, -1]], voxels.min())
    same = volume_files.fitted(voxels, (2.0, 2.0, 2.0), (5, 4, 6), (2.0, 2.0, 2.0))
    np.testing.assert_array_equal(same, voxels)


def test_resampling_keeps_a_linear_function_and_the_middle():
    ramp = np.broadcast_to(np.arange(12.0)[:, None, None], (12, 6, 6)).astype(np.float32)
    finer = volume_files.fitted(ramp, (1, 1, 1), (24, 6, 6), (0.5, 1, 1))
    np.testing.assert_allclose(finer[2:-2, 3, 3], (np.arange(24) * 0.5 - 0.25)[2:-2], atol=1e-4)
    assert finer[2:-2].mean() == pytest.approx(5.5, abs=0.01)


def broken_files(nibabel, root):
    """{name: (what is written, the reason that the message gives)}."""
    affine = np.eye(4)
    colours = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colours, affine), root / "colours.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 5), np.float32), affine), root / "series.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3), np.float32), affine), root / "flat.nii")
    nibabel.save(nibabel.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), affine), root / "nan.nii")
    nibabel.save(nibabel.Nifti1Image(RNG(0).normal(size=(9, 9, 9)), affine), root / "whole.nii.gz")
    (root / "short.nii.gz").write_bytes((root / "whole.nii.gz").read_bytes()[:2000])
    (root / "empty.nii").write_bytes(b"")
    (root / "text.nii").write_text("no volume")
    np.save(root / "words.npy", np.array(["a"]))
    return {
        "colours.nii": "has colours or complex numbers", "series.nii.gz": "has a series of 5 volumes",
        "flat.nii": "has 2 axes", "nan.nii": "has voxels that are no finite numbers",
        "short.nii.gz": "is cut short or damaged", "empty.nii": "is empty", "text.nii": "is no readable NIfTI file",
        "words.npy": "is no readable NumPy array of numbers", "missing.nii": "cannot be read: No such file",
    }  # fmt: skip


def test_what_is_no_volume_is_refused_with_its_reason(nibabel, tmp_path):
    for name, reason in broken_files(nibabel, tmp_path).items():
        with pytest.raises(volume_files.UnreadableVolume, match=re.escape(f"{tmp_path / name} {reason}")) as error:
            volume_files.read(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_fourth_axis_of_one_volume_is_taken(nibabel, tmp_path):
    voxels = object_of()
    nibabel.save(nibabel.Nifti1Image(voxels[..., None], np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume_files.read(tmp_path / "a.nii.gz").voxels, voxels)


# The pre-processing


def test_a_volume_is_standardised_by_itself():
    x = RNG(0).normal(5, 3, (3, 4, 3, 5)).astype("float32")
    scale = VolumeScaling((4, 3, 5))
    y = scale(x).numpy()
    assert y.shape == (3, 4, 3, 5, 1) and scale.input_shape == (4, 3, 5, 1)
    np.testing.assert_allclose(y.mean((1, 2, 3, 4)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std((1, 2, 3, 4)), 1, rtol=1e-5)
    np.testing.assert_allclose(scale(2 * x + 7), y, atol=1e-5)
    np.testing.assert_allclose(scale(x * np.float32(1e37)), y, atol=1e-5)
    np.testing.assert_array_equal(scale(np.full((1, 4, 3, 5), 7.0)), 0)


def test_a_figure_shows_three_planes_of_each():
    figure = slices_figure([object_of(), object_of()], ["a", "b"])
    assert len(figure.axes) == 6 and len(png(figure)) > 1000
    assert Volume((12, 10, 8)).pictures([object_of()])[0][0].startswith("12 x 10 x 8 voxels, ")


def test_turns_are_the_48_ways_of_a_cube_each_a_function_of_seed_epoch_and_example():
    cube = object_of((4, 4, 4))
    wanted = {
        np.flip(cube.transpose(order), [axis for axis in range(3) if bits >> axis & 1]).tobytes()
        for order in itertools.permutations(range(3))
        for bits in range(8)
    }
    assert len(wanted) == 48
    turns = volumes.Turns()
    draws = turns.draw(3, 7, 600)
    turned = turns({"volume": tf.constant(np.stack([cube] * 600)), "label": 1}, tf.constant(draws))
    assert turned["label"] == 1 and {one.tobytes() for one in turned["volume"].numpy()} == wanted
    np.testing.assert_array_equal(draws, turns.draw(3, 7, 600))
    assert (draws != turns.draw(3, 8, 600)).any() and len({tuple(swap) for swap in draws[:, 3:].tolist()}) == 6
    box = object_of((4, 3, 4))
    kept = turns({"volume": tf.constant(box[None])}, tf.constant([[0, 0, 0, 1, 1, 1]]))["volume"]
    np.testing.assert_array_equal(kept[0], box)


# Loaders


def test_solids_load(monkeypatch):
    monkeypatch.setattr(solids, "COUNTS", {"train": 16, "validation": 8, "test": 8})
    monkeypatch.setattr(solids.draw, "__defaults__", (solids.COUNTS,))
    splits = volumes.load("solids")
    assert splits.info.classes == solids.CLASSES and not splits.info.own
    assert splits.train.features["volume"].shape == (16, 24, 24, 24)
    assert splits.preprocess == VolumeScaling((24, 24, 24))
    baseline = splits.facts.baseline(splits)
    assert baseline["metric"] == "accuracy" and baseline["value"] == pytest.approx(1 / 8)


def arrays_of(**changes):
    rng, arrays = RNG(0), {}
    for prefix, count in (("train", 8), ("val", 4), ("test", 4)):
        arrays[f"{prefix}_images"] = rng.integers(0, 256, (count, 6, 5, 4)).astype(np.uint8)
        arrays[f"{prefix}_labels"] = (np.arange(count) % 2)[:, None]
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def test_a_file_in_medmnists_layout(tmp_path):
    path = tmp_path / "organ.npz"
    np.savez(path, **arrays_of())
    splits = volumes.load(str(path))
    assert splits.train.features["volume"].dtype == np.float32 and splits.train.features["volume"].shape == (8, 6, 5, 4)
    assert splits.validation.features["label"].tolist() == [0, 1, 0, 1] and splits.info.classes == ("0", "1")
    assert splits.info.own and splits.preprocess.size == (6, 5, 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"val_images": None}, "must have the arrays train_images, .* it lacks val_images"),
        ({"test_images": np.zeros((4, 6, 5))}, "test_images must be numbers (N, D, H, W); got float64 (4, 6, 5)"),
        ({"test_labels": np.zeros(3, int)}, "test_images and test_labels must be equally many; got 4 and 3"),
        ({"train_labels": np.full(8, -1)}, "labels must be whole numbers from 0"),
        ({"train_labels": np.full(8, 5)}, "labels must be 0 to K - 1, each of them at least once"),
        ({"test_images": np.zeros((4, 6, 5, 5))}, "volumes must have one shape; got (6, 5, 4), (6, 5, 5)"),
        ({"val_images": np.full((4, 6, 5, 4), np.inf)}, "val_images must be finite"),
    ],
)
def test_an_npz_file_that_does_not_fit_is_one_line(changes, words, tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays_of(**changes))
    pattern = words if ".*" in words else re.escape(words)
    with pytest.raises(errors.UserError, match=pattern) as error:
        volumes.load(str(path))
    assert str(error.value).startswith("volumes.load: ") and "\n" not in str(error.value)


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "b.npz").write_text("no archive")
    broken = str(tmp_path / "b.npz")
    for name, words in (("solid", "nearest: solids"), ("a.npz", "no file a.npz"), (broken, "readable")):
        with pytest.raises(errors.UserError, match=re.escape(words)):
            volumes.load(name)


def test_a_folder_of_files_of_two_orientations_and_spacings(nibabel, tmp_path):
    for label, name in enumerate(("left", "right")):
        (tmp_path / name).mkdir()
        for number in range(8):
            voxels = object_of((20, 18, 16)) * (1 + label)
            spacing = (1.0, 1.0, 1.0) if number else (1.0, 1.0, 1.25)
            orientation = "RAS" if number > 1 else "LPS"
            path = tmp_path / name / f"{number}.nii.gz"
            write_nifti(nibabel, path, voxels, orientation=orientation, spacing=spacing)
    (tmp_path / "left" / "notes.txt").write_text("x")
    splits = volumes.load(str(tmp_path))
    assert splits.info.classes == ("left", "right") and splits.preprocess.spacing == (1.0, 1.0, 1.0)
    assert splits.train.features["volume"].shape[1:] == (20, 18, 16)
    assert sum(splits.info.counts.values()) == 16
    notes = " ".join(splits.notes)
    assert "turned upright (right, front, up): 4 files" in notes
    assert "resampled to voxels of 1 x 1 x 1 mm: 2 files" in notes and "notes.txt" in notes
    small = volumes.load(str(tmp_path), size=(8, 8, 8))
    assert small.train.features["volume"].shape[1:] == (8, 8, 8)
    (tmp_path / "right" / "0.nii.gz").write_bytes(b"x")
    with pytest.raises(errors.UserError, match=r"cannot be read as volumes.*0\.nii\.gz"):
        volumes.load(str(tmp_path))
    skipped = volumes.load(str(tmp_path), skip_unreadable=True)
    assert sum(skipped.info.counts.values()) == 15


def test_a_feature_says_where_a_file_cannot_be_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(errors.UserError, match=r"a\.npy is no readable NumPy array"):
        Volume((2, 2, 2)).read(Source(tmp_path / "a.npy", str(tmp_path / "a.npy"), "a.npy"))
