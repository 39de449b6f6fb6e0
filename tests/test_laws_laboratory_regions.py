"""Linear regions: counted as linear programming and regioncam count them, as the bounds and constructions say."""

import itertools
import math

import numpy as np
import pytest

from keras_dl.errors import UserError
from keras_dl.laboratory import approximation, folding, intervals, linear_regions, patterns, region_bounds, regions

WIDTHS = [(5,), (4, 3), (3, 3, 3), (6, 4), (2, 5, 2)]


def random_layers(inputs, widths, seed, bias=0.4, outputs=2):
    rng, sizes = np.random.default_rng(seed), [inputs, *widths, outputs]
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    return [(rng.normal(0, math.sqrt(2 / n), (n, m)), rng.normal(0, bias, m)) for n, m in pairs]


def as_set(cut):
    return {tuple(map(bool, pattern)) for pattern in cut.patterns}


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_patterns_are_those_that_linear_programming_enumerates(widths):
    for seed in range(2):
        layers = random_layers(2, widths, seed)
        cut = regions.polygons(layers, center=(0.2, -0.1), half_width=1.5)
        assert as_set(cut) == patterns.patterns(layers, (0.2, -0.1), 1.5)
        assert len(as_set(cut)) == len(cut)  # no pattern twice: each region is one convex polygon


def test_on_a_plane_through_a_space_of_more_inputs_they_are_those_of_the_network_on_that_plane():
    """Counted are the patterns on the plane, fewer than those of the whole space."""
    layers = random_layers(5, (5, 4), 3)
    rng = np.random.default_rng(0)
    origin, directions = rng.normal(size=5), rng.normal(size=(5, 2))
    cut = regions.polygons(layers, (origin, directions), half_width=2)
    kernel, bias = layers[0]
    there = [(directions.T @ kernel, origin @ kernel + bias), *layers[1:]]
    assert as_set(cut) == patterns.patterns(there, (0, 0), 2)
    inside = [polygon.mean(0) for polygon in cut.polygons]
    inputs = origin + np.array(inside) @ directions.T
    np.testing.assert_array_equal(regions.activations(layers, inputs), cut.patterns)


@pytest.mark.parametrize("widths", [*WIDTHS, (32, 32, 32)], ids=str)
def test_regions_fill_the_square_and_the_network_is_affine_on_each(widths):
    layers = random_layers(2, widths, 7)
    cut = regions.polygons(layers, half_width=2)
    assert cut.areas().min() > 0 and cut.areas().sum() == pytest.approx(16, rel=1e-12)
    rng = np.random.default_rng(1)
    for polygon, pattern, affine in zip(cut.polygons, cut.patterns, cut.maps, strict=True):
        shares = rng.dirichlet(np.ones(len(polygon)), 3)
        points = np.concatenate([polygon, shares @ polygon])
        theirs = regions.forward(layers, points)
        np.testing.assert_allclose(points @ affine[:, :2].T + affine[:, 2], theirs, rtol=0, atol=1e-9)
        assert (regions.activations(layers, polygon.mean(0)[None]) == pattern).all()


def test_polygons_are_convex_and_counterclockwise():
    for polygon in regions.polygons(random_layers(2, (8, 8), 2), half_width=2).polygons:
        edges = np.roll(polygon, -1, axis=0) - polygon
        turn = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
        assert turn.min() > -1e-9


@pytest.mark.parametrize(("units", "bound"), [(12, 79), (5, 16), (1, 2), (24, 301)])
def test_lines_in_general_position_have_zaslavskys_count(units, bound):
    assert region_bounds.zaslavsky(units, 2) == bound == 1 + units + math.comb(units, 2)
    for seed in range(3):
        layers, half_width = folding.arrangement(units, seed)
        assert len(regions.polygons(layers, half_width=half_width)) == bound


@pytest.mark.parametrize(("widths", "bound"), [((4, 4, 4), 176), ((6, 5), 9 * 16), ((5, 4, 3), 4 * 4 * 7)])
def test_the_folding_network_has_as_many_regions_as_its_construction_says(widths, bound):
    layers = folding.folding(2, widths)
    cut = regions.polygons(layers, center=(0.5, 0.5), half_width=0.5)
    assert len(cut) == bound == region_bounds.montufar(widths, 2)
    assert len(np.unique(linear_regions.labels(cut))) == bound  # as many different functions, not only patterns
    outside = regions.polygons(layers, center=(0.5, 0.5), half_width=3)
    assert len(outside) > bound and len(outside) <= region_bounds.most(widths, 2)


@pytest.mark.parametrize(("widths", "bound"), [((4, 4, 4), 80), ((3, 5), 18), ((2, 2, 2, 2), 24), ((7,), 8)])
def test_the_folding_network_of_one_input_has_as_many_pieces_as_its_construction_says(widths, bound):
    cut = intervals.pieces(folding.folding(1, widths))
    assert len(cut) == len(cut.linear()) == bound == region_bounds.montufar(widths, 1)
    assert bound <= region_bounds.most(widths, 1)


def test_the_folding_networks_patterns_are_those_that_linear_programming_enumerates():
    layers = folding.folding(2, (4, 4, 4))
    cut = regions.polygons(layers, center=(0.5, 0.5), half_width=0.5)
    assert as_set(cut) == patterns.patterns(layers, (0.5, 0.5), 0.5)


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_a_fold_lays_every_interval_onto_the_whole_there_and_back(inputs):
    kernel, bias, mix = folding.fold(inputs, 4 * inputs + (inputs > 1))  # a unit may be left over
    x = np.random.default_rng(0).uniform(0, 1, (200, inputs))
    folded = np.maximum(x @ kernel + bias, 0) @ mix
    down = np.abs((4 * x + 1) % 2 - 1)  # the triangle wave of period 1/2
    np.testing.assert_allclose(folded, down, atol=1e-12)


def test_no_network_has_more_regions_than_the_product_of_its_layers_counts():
    for widths in WIDTHS:
        for seed in range(5):
            layers = random_layers(2, widths, seed)
            assert len(regions.polygons(layers, half_width=50)) <= region_bounds.most(widths, 2)
            assert len(intervals.pieces(layers, (np.zeros(2), np.ones(2)), low=-50, high=50)) <= region_bounds.most(
                widths, 1
            )
    assert region_bounds.most((6,) * 4, 1) == 7**4  # (m + 1) ** L
    assert region_bounds.most((1, 5), 2) == 2 * 6  # behind one unit there is a line, not a plane


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_pieces_of_a_line_are_the_patterns_of_linear_programming_and_the_network_between_them(widths):
    layers = random_layers(3, widths, 5)
    origin, direction = np.array([0.1, -0.3, 0.2]), np.array([1.0, 0.5, -2.0])
    cut = intervals.pieces(layers, (origin, direction), low=-2, high=3)
    kernel, bias = layers[0]
    there = [((direction @ kernel)[None], origin @ kernel + bias), *layers[1:]]
    assert len(cut) == len(patterns.patterns(there, (0.5,), 2.5))
    t = np.linspace(-2, 3, 1001)
    np.testing.assert_allclose(cut(t), regions.forward(layers, origin + t[:, None] * direction), atol=1e-9)


def test_a_line_through_the_plane_crosses_the_regions_that_polygons_says():
    layers = random_layers(2, (10, 10), 4)
    cut = regions.polygons(layers, half_width=1)
    middles = intervals.pieces(layers, (np.zeros(2), np.ones(2)), low=-1, high=1).breaks
    middles = (middles[1:] + middles[:-1]) / 2
    inputs = middles[:, None] * np.ones(2)
    on_line = {tuple(map(bool, row)) for row in regions.activations(layers, inputs)}
    assert len(on_line) == len(middles) and on_line <= as_set(cut)


def test_a_network_without_biases_has_only_cones():
    """Twice as many as units in one layer; deeper, all still meet in the origin, whatever the square."""
    shallow = random_layers(2, (9,), 0, bias=0)
    assert len(regions.polygons(shallow)) == 18
    deep = random_layers(2, (9, 7, 5), 0, bias=0)
    cuts = [regions.polygons(deep, half_width=size) for size in (1e-3, 1, 1e3)]
    assert as_set(cuts[0]) == as_set(cuts[1]) == as_set(cuts[2])
    for polygon in cuts[1].polygons:
        assert np.hypot(*polygon.T).min() < 1e-12  # a corner of each is the origin


def test_different_patterns_with_one_affine_function_are_one_linear_region():
    """Without the outputs' weights of a unit, its line is no border of the function."""
    layers = random_layers(2, (6,), 1, bias=0.2)
    kernel, bias = layers[-1]
    cut = regions.polygons(layers, half_width=3)
    assert len(np.unique(linear_regions.labels(cut))) == len(cut)
    blind = [layers[0], (np.where(np.arange(6)[:, None] == 2, 0, kernel), bias)]
    without = [(np.delete(layers[0][0], 2, 1), np.delete(layers[0][1], 2)), (np.delete(kernel, 2, 0), bias)]
    labels = linear_regions.labels(regions.polygons(blind, half_width=3))
    assert len(labels) == len(cut) and len(np.unique(labels)) == len(regions.polygons(without, half_width=3)) < len(cut)
    constant = [layers[0], (np.zeros_like(kernel), bias)]
    assert set(linear_regions.labels(regions.polygons(constant, half_width=3))) == {0}
    doubled = intervals.pieces(
        [(np.ones((1, 3)), -np.array([0.2, 0.5, 0.7])), (np.array([[1.0], [0], [2]]), np.zeros(1))]
    )
    assert len(doubled) == 4 and len(doubled.linear()) == 3


def test_two_parts_with_one_function_that_do_not_touch_are_two_linear_regions():
    """A flat hat: the function is zero on both sides of it."""
    layers = [
        (np.array([[1.0, 1, 1, 1], [0, 0, 0, 0]]), np.array([0.5, 0.2, -0.2, -0.5])),
        (np.array([[1.0], [-1], [-1], [1]]), np.zeros(1)),
    ]
    cut = regions.polygons(layers)
    assert len(cut) == 5 and len(np.unique(linear_regions.labels(cut))) == 5


def test_parts_with_one_function_that_meet_in_a_point_are_two_linear_regions():
    """min(|x|, |y|) where x and y have one sign, else 0: the two quadrants of zeros meet in the origin alone."""
    layers = [
        (np.array([[0.0, -1, 0, 1], [1, 1, -1, -1]]), np.zeros(4)),  # y, y - x, -y, x - y
        (np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), np.zeros(2)),
        (np.ones((2, 1)), np.zeros(1)),
    ]
    cut = regions.polygons(layers)
    points = cut.centroids()
    expected = np.where(points[:, 0] * points[:, 1] > 0, np.abs(points).min(1), 0)
    np.testing.assert_allclose(regions.forward(layers, points)[:, 0], expected, atol=1e-12)
    assert len(np.unique(linear_regions.labels(cut))) == 6


def test_lines_that_coincide_or_meet_a_corner_leave_no_slivers():
    layers = random_layers(2, (4,), 6)
    twice = [(np.repeat(kernel, 2, 1), np.repeat(bias, 2)) for kernel, bias in layers[:1]]
    twice += [(np.ones((8, 1)), np.zeros(1))]
    twice[0] = (twice[0][0] * np.tile([1.0, -3.7], 4), twice[0][1] * np.tile([1.0, -3.7], 4))
    single, doubled = regions.polygons(layers, half_width=2), regions.polygons(twice, half_width=2)
    assert len(single) == len(doubled)
    along = np.zeros(2), np.array([1.0, 0.7])
    pieces = [len(intervals.pieces(each, along, low=-9, high=9)) for each in (layers, twice)]
    assert pieces == [5, 5]
    kernel = np.array([[1.0, 1, 0.3], [1, -1, 0.7]])
    turned = np.array([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    points = ([0, 0], [0.137, 0.291], [-0.2, 0.1], [0.3, -0.07])
    for matrix, point in itertools.product((np.eye(2), turned), points):
        turned_kernel = matrix @ kernel
        cut = regions.polygons([(turned_kernel, -np.array(point) @ turned_kernel), (np.ones((3, 1)), np.zeros(1))])
        assert len(cut) == 6 and cut.areas().min() > 1e-3  # three lines through one point
        edges = [np.hypot(*(np.roll(polygon, -1, axis=0) - polygon).T).min() for polygon in cut.polygons]
        assert min(edges) > 0.01  # no corner twice


def test_what_cancels_up_to_rounding_cuts_nothing():
    """0.1 + 0.2 - 0.3 is not 0 in floating point, and would have a zero in the middle of the square."""
    kernel = np.array([[0.1, 0.2, 0.3], [0, 0, 0]])
    for bias in ([0.25, 0.5, 0.75], [0.2, 0.45, 0.65]):
        rest = [(np.array([[1.0], [1], [-1]]), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))]
        assert len(regions.polygons([(kernel, np.array(bias)), *rest])) == 1
        assert len(intervals.pieces([(kernel[:1], np.array(bias)), *rest], low=-1, high=1)) == 1


def test_a_dead_network_is_one_region():
    layers = [(np.zeros((2, 3)), -np.ones(3)), (np.ones((3, 4)), np.zeros(4)), (np.ones((4, 1)), np.zeros(1))]
    cut = regions.polygons(layers)
    assert len(cut) == 1 and not cut.patterns.any() and len(regions.polygons([(np.ones((2, 1)), np.ones(1))])) == 1


def test_a_count_that_is_the_number_of_points_is_refused_and_polygons_do_not_saturate():
    layers, half_width = folding.arrangement(40, 0)
    cut, rng = regions.polygons(layers, half_width=half_width), np.random.default_rng(0)
    assert len(cut) == region_bounds.zaslavsky(40, 2)
    with pytest.raises(UserError, match="which is the number of points, not of regions"):
        regions.sampled_count(layers, cut.centroids()[:50])
    points = rng.uniform(-half_width, half_width, (2000, 2))
    assert regions.sampled_count(layers, points) < len(cut)


def test_the_zeros_of_an_output_are_on_its_boundary():
    layers = random_layers(2, (8, 8), 9, outputs=1)
    layers[-1] = (
        layers[-1][0],
        -np.median(regions.forward(layers, np.random.default_rng(0).uniform(-2, 2, (500, 2))), 0),
    )
    segments = regions.zeros(regions.polygons(layers, half_width=2))
    assert len(segments) > 3
    np.testing.assert_allclose(regions.forward(layers, segments.reshape(-1, 2)), 0, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 3, 6, 10])
def test_a_deep_network_is_the_sawtooth_exactly_and_one_layer_needs_a_unit_for_each_side(depth):
    deep = intervals.pieces(approximation.sawtooth(depth))
    np.testing.assert_array_equal(deep.breaks, np.arange(2**depth + 1) / 2**depth)
    np.testing.assert_array_equal(deep.values[:, 0], np.arange(2**depth + 1) % 2)
    assert approximation.distance(deep, approximation.teeth(depth)) == 0
    wide = intervals.pieces(approximation.first_teeth(depth, 2**depth))
    assert approximation.distance(wide, approximation.teeth(depth)) == pytest.approx(0, abs=1e-12)
    assert region_bounds.zaslavsky(2**depth - 2, 1) < 2**depth  # fewer units have fewer pieces


def test_with_too_few_pieces_the_sawtooth_stays_away():
    saw = approximation.teeth(6)
    for units in (1, 2, 5, 15, 16, 40):
        one = intervals.pieces(approximation.first_teeth(6, units))
        error = approximation.distance(one, saw)
        assert len(one) <= units + 1
        assert error == pytest.approx((1 - max(units - 1.5, 0) / 64) / 4)
        assert error >= 1 / 16 or units > 15


def test_the_mean_distance_is_the_integral():
    one, other = (intervals.pieces(random_layers(1, (6,), seed, outputs=1)) for seed in (0, 1))
    x = np.linspace(0, 1, 2_000_001)
    assert approximation.distance(one, other) == pytest.approx(np.abs(one(x) - other(x)).mean(), abs=1e-5)
    assert approximation.distance(one, one) == 0
    up, down = (intervals.Pieces(np.array([0.0, 1]), np.array(ends)) for ends in ([[0.0], [1]], [[1.0], [0]]))
    assert approximation.distance(up, down) == 0.5  # they cross


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8])
def test_depth_gives_the_parabola_that_width_gives_with_exponentially_many_units(depth):
    deep = intervals.pieces(approximation.parabola(depth)).linear()
    x = np.arange(2**depth + 1) / 2**depth
    wide = intervals.pieces(approximation.interpolation(x, x**2))
    np.testing.assert_allclose(deep.breaks, x, atol=1e-12)
    np.testing.assert_allclose(deep(x), wide(x), atol=1e-12)
    assert approximation.largest_error_of_parabola(deep) == pytest.approx(4.0 ** -(depth + 1))
    assert approximation.largest_error_of_parabola(wide) == pytest.approx(1 / (4 * 4.0**depth))


def test_interpolation_goes_through_its_points():
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(0, 1, 20)), rng.normal(size=20)
    layers = approximation.interpolation(x, y)
    assert layers[0][0].shape == (1, 19)
    np.testing.assert_allclose(regions.forward(layers, x[:, None])[:, 0], y, atol=1e-9)


def test_what_does_not_fit_is_one_sentence():
    layers = random_layers(3, (4,), 0)
    with pytest.raises(UserError, match=r"3 inputs needs an origin \(3,\) and directions \(3, 2\); got \(2,\)"):
        regions.polygons(layers)
    with pytest.raises(UserError, match=r"kernel must be of shape \(4, 2\)"):
        regions.polygons([layers[0], (np.ones((5, 2)), np.ones(2))], (np.zeros(3), np.eye(3)[:, :2]))
    with pytest.raises(UserError, match="must not lie on one line"):
        regions.through(np.outer(np.arange(3), np.ones(4)))
    with pytest.raises(UserError, match="every width at least inputs"):
        folding.folding(2, (4, 1))
    with pytest.raises(UserError, match="at least inputs=2"):
        region_bounds.montufar((4, 1), 2)


def test_three_inputs_lie_where_their_plane_says():
    points = np.random.default_rng(0).normal(size=(3, 7))
    (origin, directions), coordinates = regions.through(points)
    np.testing.assert_allclose(directions.T @ directions, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(origin + coordinates @ directions.T, points, atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("widths", [(12,), (8, 8), (16, 16, 16)], ids=str)
def test_regioncam_counts_as_many(widths):
    regioncam = pytest.importorskip("regioncam", reason="oracle: regioncam is not installed")
    for seed in range(3):
        layers = [
            (kernel.astype(np.float32), bias.astype(np.float32)) for kernel, bias in random_layers(2, widths, seed)
        ]
        theirs = regioncam.Regioncam(size=1)
        for kernel, bias in layers[:-1]:
            theirs.linear(np.ascontiguousarray(kernel), bias)
            theirs.relu()
        corners = np.asarray(theirs.vertex_inputs)
        half_width = float(np.abs(corners).max())
        assert len(regions.polygons(layers, half_width=half_width)) == theirs.num_faces
