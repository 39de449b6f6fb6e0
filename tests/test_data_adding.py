"""The adding problem: one mark in each half, and the sum of what is marked."""

import numpy as np
import pytest

from keras_dl.data import adding


@pytest.mark.parametrize("steps", [2, 3, 10, 51])
def test_the_sum_is_that_of_the_two_marked_values(steps):
    examples = adding.sequences(np.random.default_rng(0), 200, steps)
    rows, sums = examples.features["sequence"], examples.features["sum"]
    values, marks = rows[..., 0], rows[..., 1]
    assert rows.shape == (200, steps, 2) and rows.dtype == np.float32 and sums.shape == (200, 1)
    assert values.min() >= 0 and values.max() <= 1 and set(np.unique(marks)) <= {0, 1}
    assert (marks[:, : steps // 2].sum(1) == 1).all() and (marks[:, steps // 2 :].sum(1) == 1).all()
    np.testing.assert_allclose(sums[:, 0], [value[mark == 1].sum() for value, mark in zip(values, marks, strict=True)])
    assert (marks.sum(0) > 0).all()  # every place is marked in some sequence


def test_sequences_are_a_function_of_the_generator():
    first, again, other = (adding.sequences(np.random.default_rng(seed), 5, 8).features for seed in (1, 1, 2))
    assert (first["sequence"] == again["sequence"]).all() and (first["sequence"] != other["sequence"]).any()


def test_the_answer_1_has_the_baselines_error():
    sums = adding.sequences(np.random.default_rng(0), 100_000, 4).features["sum"]
    assert np.mean((sums - 1) ** 2) == pytest.approx(adding.BASELINE, rel=0.02)
