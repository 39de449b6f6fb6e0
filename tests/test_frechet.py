"""Laws of the Fréchet distance and of the Parzen-window estimate: closed forms, and what is refused."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from keras_dl import errors, frechet, parzen

RNG = np.random.default_rng(0)


def moments(mean, covariance, count=100):
    return frechet.Moments(np.asarray(mean, float), np.asarray(covariance, float), count)


def covariance(width, rank=None):
    root = RNG.normal(size=(width, rank or width))
    return root @ root.T


def test_the_distance_of_one_dimension_is_the_closed_form():
    """(m1 - m2)^2 + (s1 - s2)^2."""
    for m1, s1, m2, s2 in ((0, 1, 0, 1), (1, 2, -3, 0.5), (0, 0, 2, 3)):
        wanted = (m1 - m2) ** 2 + (s1 - s2) ** 2
        assert frechet.distance(moments([m1], [[s1**2]]), moments([m2], [[s2**2]])) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("rank", [5, 3])
def test_the_distance_is_that_of_scipys_matrix_root(rank):
    a, b, m = covariance(5, rank), covariance(5, rank), RNG.normal(size=5)
    root = scipy.linalg.sqrtm(a @ b)
    wanted = m @ m + np.trace(a + b - 2 * root.real)
    assert frechet.distance(moments(m, a), moments(np.zeros(5), b)) == pytest.approx(wanted, rel=1e-5)
    assert frechet.distance(moments(m, a), moments(m, a)) == pytest.approx(0, abs=1e-6)
    one, two = moments(m, a), moments(-m, b)
    assert frechet.distance(one, two) == pytest.approx(frechet.distance(two, one), rel=1e-6)


def test_a_rotation_and_a_shift_of_both_sets_change_nothing():
    one, two = RNG.normal(size=(60, 4)), 2.0 + RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 4))
    turn = scipy.stats.ortho_group.rvs(4, random_state=1)
    plain = frechet.distance(*map(frechet.Moments.of, (one, two)))
    turned = frechet.distance(*(frechet.Moments.of(x @ turn + 3.0) for x in (one, two)))
    assert turned == pytest.approx(plain, rel=1e-9)


def test_features_of_a_normal_distribution_have_its_moments():
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    seen = frechet.Moments.of(RNG.multivariate_normal(mean, cov, 200_000))
    assert (seen.count, seen.mean.shape) == (200_000, (2,))
    np.testing.assert_allclose(seen.mean, mean, atol=0.02)
    np.testing.assert_allclose(seen.covariance, cov, atol=0.03)
    two = frechet.Moments.of(np.array([[0.0], [2.0]]))
    assert two.covariance.tolist() == [[2.0]]  # divided by N - 1


def test_too_few_examples_and_features_that_do_not_fit_are_one_line():
    with pytest.raises(errors.UserError, match="the examples must be more than the features, 8, .* got 8"):
        frechet.Moments.of(np.zeros((8, 8)))
    with pytest.raises(errors.UserError, match="features must be finite"):
        frechet.Moments.of(np.full((3, 1), np.nan))
    with pytest.raises(errors.UserError, match="the same features; got 1 and 2 of them"):
        frechet.distance(moments([0], [[1]]), moments([0, 0], np.eye(2)))


# The Parzen window


def test_the_estimate_is_scipys_mixture_of_normals():
    samples, pictures, sigma = RNG.random((7, 3)), RNG.random((5, 3)), 0.3
    each = [[scipy.stats.norm.logpdf(x, s, sigma).sum() for s in samples] for x in pictures]
    wanted = scipy.special.logsumexp(each, axis=1) - np.log(7)
    np.testing.assert_allclose(parzen.log_likelihood(samples, pictures, sigma), wanted, rtol=1e-5)
    several = parzen.log_likelihood(samples, pictures, np.array([sigma, 0.7]))
    np.testing.assert_allclose(several[0], wanted, rtol=1e-5)
    assert several.shape == (2, 5)


def test_the_estimate_is_finite_far_from_all_samples_and_the_same_in_portions(monkeypatch):
    samples, pictures = np.zeros((4, 784)), np.ones((9, 784))
    far = parzen.log_likelihood(samples, pictures, 0.05)
    assert np.isfinite(far).all() and far.max() < -1e5
    monkeypatch.setattr(parzen, "ROWS", 2)
    np.testing.assert_allclose(parzen.log_likelihood(samples, pictures, 0.05), far)


def test_the_width_is_the_one_with_which_validation_is_most_likely():
    samples, validation = RNG.normal(size=(800, 2)), RNG.normal(size=(300, 2))
    means = parzen.log_likelihood(samples, validation, np.array(parzen.SIGMAS)).mean(1)
    assert parzen.best_sigma(samples, validation) == parzen.SIGMAS[means.argmax()]
    assert 0 < means.argmax() < len(means) - 1


def test_its_flaw_is_real():
    """Centres of clusters have a higher figure than the training pictures themselves (Theis et al., table 1)."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits

    pixels = load_digits().data / 16
    train, validation, test = pixels[:1000], pixels[1000:1300], pixels[1300:]
    centres = KMeans(200, n_init=1, random_state=0).fit(train).cluster_centers_
    figures = [
        parzen.log_likelihood(samples, test, parzen.best_sigma(samples, validation)).mean()
        for samples in (train[:200], centres)
    ]
    assert figures[1] > figures[0] + 1
