"""Laws of volumes: orientation, spacing and scale of a file change nothing; what is written lies where it was read."""

import gzip

import numpy as np
import pytest
import tensorflow as tf

from keras_dl.errors import UserError
from keras_dl.features import volume_files, volumes
from keras_dl.features.volumes import SpacedVolume, SpacedVolumes

nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
ORIENTATIONS = ("RAS", "LPS", "SPL", "AIR")


def an_object():
    """Voxels (7, 6, 5) without any symmetry, whole numbers."""
    return np.random.default_rng(0).integers(0, 100, (7, 6, 5)).astype(np.int16)


def write_as(path, voxels, axes="RAS", spacing=(1.0, 1.0, 1.0), slope=1, shape=None):
    """Write voxels that stand as RAS in another orientation, with a spacing and a scale of the stored numbers."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (3, -4, 5)
    image = nibabel.Nifti1Image(voxels, affine)
    turns = nibabel.orientations.axcodes2ornt(axes)
    image = image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), turns))
    stored = np.asarray(image.dataobj)
    image = nibabel.Nifti1Image(stored.reshape(shape(stored.shape) if shape else stored.shape), image.affine)
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([slope, 0], "<f4").tobytes()  # scl_slope and scl_inter
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return image.affine


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("slope", [1, 2])
def test_the_voxels_of_a_file_stand_alike_whatever_its_axes_and_scale(tmp_path, axes, slope):
    voxels = an_object()
    affine = write_as(tmp_path / "a.nii.gz", voxels, axes, (1.0, 1.5, 2.0), slope)
    volume = volume_files.read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.voxels, voxels * slope)
    np.testing.assert_allclose(volume.spacing, (1.0, 1.5, 2.0), rtol=1e-6)
    np.testing.assert_array_equal(volume.affine, affine)


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_written_mask_has_the_affine_and_the_shape_of_its_input(tmp_path, axes, ending):
    voxels = an_object()
    affine = write_as(tmp_path / f"a{ending}", voxels, axes, (1.0, 1.5, 2.0), shape=lambda sizes: (*sizes, 1))
    volume = volume_files.read(tmp_path / f"a{ending}")
    mask = (volume.voxels > 50).astype(np.uint8)
    volume_files.write(mask, tmp_path / f"mask{ending}", volume)
    written, there = nibabel.load(tmp_path / f"mask{ending}"), nibabel.load(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(written.affine, affine)
    assert written.shape == there.shape and written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(written.dataobj), (np.asarray(there.dataobj) > 50))
    again = volume_files.read(tmp_path / f"mask{ending}")
    np.testing.assert_array_equal(again.voxels, mask)
    assert again.same_place(volume)
    with pytest.raises(ValueError, match="voxels must be"):
        volume_files.write(mask[1:], tmp_path / f"mask{ending}", volume)


def test_one_object_in_any_orientation_spacing_and_scale_is_one_input_of_the_model(tmp_path):
    voxels = an_object()
    preprocess = SpacedVolumes((9, 7, 5, 1), (2.0, 2.0, 2.0))
    inputs = []
    for axes in ORIENTATIONS:
        for mm in (1, 2):
            for slope in (1, 2):
                finer = voxels
                for axis in range(3) if mm == 1 else ():
                    finer = finer.repeat(2, axis)
                write_as(tmp_path / "a.nii", finer, axes, (float(mm),) * 3, slope)
                volume = volume_files.read(tmp_path / "a.nii")
                inputs.append(preprocess(volume.voxels, volume.spacing).numpy())
    assert inputs[0].shape == (9, 7, 5, 1) and inputs[0].max() == 1
    for other in inputs[1:]:
        np.testing.assert_allclose(other, inputs[0], atol=1e-6)


def test_what_is_resampled_comes_back_to_its_place():
    preprocess = SpacedVolumes((9, 8, 7, 1), (2.0, 1.0, 1.0))
    ramp = np.arange(12.0, dtype=np.float32)[:, None, None] + np.zeros((12, 5, 6), np.float32)
    size = preprocess.size(ramp.shape, (1.0, 1.0, 1.0)).numpy()
    assert size.tolist() == [6, 5, 6] and preprocess.fits(ramp.shape, (1.0, 1.0, 1.0))
    assert not preprocess.fits(ramp.shape, (2.0, 1.0, 1.0))
    coarse = volumes.resampled(tf.constant(ramp), size)
    np.testing.assert_allclose(coarse[:, 0, 0], np.arange(6) * 2 + 0.5)
    back = preprocess.back(preprocess.put(coarse)[..., None], ramp.shape, (1.0, 1.0, 1.0))[..., 0]
    np.testing.assert_allclose(back[1:-1], ramp[1:-1], atol=1e-5)  # beyond the outermost middles it is constant
    same = preprocess.back(preprocess.put(tf.constant(ramp[:9]))[..., None], (9, 5, 6), (2.0, 1.0, 1.0))
    np.testing.assert_array_equal(same[..., 0], ramp[:9])


def test_a_volume_is_normalised_by_itself_and_one_bright_voxel_changes_little():
    voxels = np.random.default_rng(1).normal(100, 20, (12, 12, 12)).astype(np.float32)
    usual = volumes.normalised(tf.constant(voxels)).numpy()
    voxels[3, 3, 3] = 358_215
    spiked = volumes.normalised(tf.constant(voxels)).numpy()
    assert usual.min() == 0 and usual.max() == 1 and np.abs(usual - spiked).max() > 0
    assert np.median(np.abs(usual - spiked)) < 0.01
    assert not volumes.normalised(tf.fill([3, 3, 3], 7.0)).numpy().any()


def test_labels_are_resampled_without_new_values():
    labels = np.array([0, 2, 7, 11])[np.random.default_rng(0).integers(0, 4, (7, 5, 3))]
    assert set(np.unique(volumes.resampled_labels(labels, (13, 4, 3)))) <= {0, 2, 7, 11}
    np.testing.assert_array_equal(volumes.resampled_labels(labels, labels.shape), labels)


def test_what_is_no_volume_is_one_line_that_names_the_file(tmp_path):
    path = tmp_path / "a.nii.gz"

    def refused(words, of=path):
        with pytest.raises(volume_files.UnreadableVolume, match=words) as error:
            volume_files.read(of)
        assert str(of) in str(error.value) and "\n" not in str(error.value)

    refused("cannot be read: No such file")
    path.write_bytes(b"")
    refused("is empty: it has 0 bytes")
    path.write_bytes(b"no volume")
    refused("is no readable NIfTI file")
    write_as(path, an_object())
    path.write_bytes(path.read_bytes()[:150])
    refused("is no readable NIfTI file")
    colours = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(colours, np.eye(4)).to_bytes()))
    refused("it has colours")
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.float32), np.eye(4)).to_bytes()))
    refused(r"it has 2 volumes \(it is 4-D\), 3 x 4 x 5 x 2")
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(np.full((3, 4, 5), np.nan, np.float32), np.eye(4)).to_bytes()))
    refused("no finite numbers")
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    refused("it has 2 axes, 3 x 4", tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array(["x"]))
    refused("no NumPy file of one array of real numbers", tmp_path / "a.npy")


def test_files_are_named_with_their_whole_ending(tmp_path):
    feature = SpacedVolume((5, 4, 3, 1))
    paths = feature.write_all([an_object(), an_object()], tmp_path / "b.nii.gz")
    assert [path.name for path in paths] == ["b-1.nii.gz", "b-2.nii.gz"]
    with pytest.raises(UserError, match=r"must end in \.nii\.gz"):
        feature.write(an_object(), tmp_path / "b.gz")
    [(caption, picture)] = feature.pictures([volume_files.read(paths[0])])
    assert caption == "7 x 6 x 5 voxels of 1 x 1 x 1 mm" and picture.startswith(b"\x89PNG")
