"""Laws of grids: every picture stands in its place, headings and lines do not touch it; animations show all."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_dl.features import grids
from keras_dl.features.grids import BACKGROUND, GAP, MARK


def pictures(count, side=5, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, side, side, channels), np.uint8)


def place(number, columns, side):
    """(rows, columns) of a picture, as slices, in a grid without headings and caption."""
    row, column = divmod(number, columns)
    return tuple(slice(GAP + at * (side + GAP), GAP + at * (side + GAP) + side) for at in (row, column))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("enlarge", [1, 3])
def test_every_picture_stands_in_its_place(channels, enlarge):
    images = pictures(7, channels=channels)
    whole = grids.grid(images, 3, enlarge=enlarge)
    side = 5 * enlarge
    assert whole.shape == (3 * (side + GAP) + GAP, 3 * (side + GAP) + GAP, channels) and whole.dtype == np.uint8
    rest = whole.copy()
    for number, image in enumerate(images):
        np.testing.assert_array_equal(whole[place(number, 3, side)][::enlarge, ::enlarge], image)
        rest[place(number, 3, side)] = BACKGROUND
    assert (rest == BACKGROUND).all()


def test_headings_and_captions_leave_the_grid_as_it_is():
    images, headings = pictures(6, side=40), ("ant", "\u4e2d", "a name that is much too long for a heading")
    plain = grids.grid(images, 2, enlarge=1)
    whole = grids.grid(images, 2, headings=headings, caption="epoch 3", enlarge=1)
    np.testing.assert_array_equal(whole[-len(plain) :, -plain.shape[1] :], plain)
    beside, above = whole[-len(plain) :, : -plain.shape[1]], whole[: -len(plain)]
    assert (above < 128).any() and beside.shape[1] < 250
    for row in range(3):  # each heading in its own row
        band = beside[GAP + row * (40 + GAP) : GAP + row * (40 + GAP) + 40]
        inked = np.flatnonzero((band < 128).any((1, 2)))
        assert len(inked) and abs(inked.mean() - 19.5) < 4  # beside the middle of its pictures
    assert (beside[[0, 1, 42, 43, 84, 85]] == BACKGROUND).all()


def heading(text):
    """The picture of a heading, cut to its letters."""
    whole = grids.grid(pictures(1, side=40), headings=(text,), enlarge=1)[..., 0] < 128
    letters = whole[:, : -(40 + 2 * GAP)]
    rows, columns = np.flatnonzero(letters.any(1)), np.flatnonzero(letters.any(0))
    return letters[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_letters_of_a_heading_are_letters_and_not_the_box_of_a_font_that_lacks_them(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(grids, "drawable", lambda text: True)
        box = heading("\u9e1f")
        np.testing.assert_array_equal(box, heading("\u4e2d"))  # the same for both
    shown = [heading(letter) for letter in ("a", "\u00e4", "\u0436", "\u03c9", "\u0142")]
    for number, letter in enumerate(shown):
        assert not any(np.array_equal(letter, other) for other in [box, *shown[:number]])
    np.testing.assert_array_equal(heading("a\u0308"), heading("\u00e4"))  # as file names of macOS have it
    np.testing.assert_array_equal(heading("\u9e1f"), heading("class 0"))  # the first row's
    np.testing.assert_array_equal(heading("\u9e1f a"), heading("class 0"))


def test_small_pictures_are_enlarged_and_the_grid_is_about_square():
    assert grids.grid(pictures(9, side=8)).shape[:2] == (3 * (56 + GAP) + GAP,) * 2
    assert grids.grid(pictures(2, side=100)).shape == (100 + 2 * GAP, 2 * (100 + GAP) + GAP, 1)


def test_the_end_of_the_given_part_is_marked_and_nothing_else_changes():
    images = np.full((2, 4, 4, 1), 7, np.uint8)
    given = np.zeros((2, 4, 4))
    given[0, :2], given[1] = 1, 1  # the top half of the first, all of the second
    whole = grids.grid(images, 2, given=given, enlarge=2)
    first, second = (whole[place(number, 2, 8)] for number in (0, 1))
    assert whole.shape[-1] == 3 and (second == 7).all()
    assert (first[3] == MARK).all() and (np.delete(first, 3, 0) == 7).all()


def test_an_animation_shows_its_pictures_in_order_and_the_last_for_longer():
    frames = [np.full((6, 5, 1), 40 * number, np.uint8) for number in range(5)]
    animation = Image.open(io.BytesIO(grids.animation(frames)))
    durations = []
    for number, frame in enumerate(frames):
        animation.seek(number)
        durations.append(animation.info["duration"])
        np.testing.assert_array_equal(animation.convert("L"), frame[..., 0])
    assert animation.n_frames == 5 and len(set(durations[:-1])) == 1 and durations[-1] > durations[0]


def test_of_many_pictures_an_animation_leaves_some_out_evenly():
    some = grids.evenly(list(range(1000)), 200)
    assert len(some) == 200 and (some[0], some[-1]) == (0, 999) and set(np.diff(some)) <= {5, 6}
    assert grids.evenly([1, 2, 3], 200) == [1, 2, 3] and grids.evenly([1], 200) == [1]


def test_colour_pictures_keep_their_colours_nearly():
    frames = [np.random.default_rng(seed).integers(0, 2, (8, 8, 3), np.uint8) * 255 for seed in range(3)]
    animation = Image.open(io.BytesIO(grids.animation(frames)))
    for number, frame in enumerate(frames):
        animation.seek(number)
        assert np.abs(np.asarray(animation.convert("RGB")).astype(int) - frame).max() < 16
