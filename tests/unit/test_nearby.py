"""Points near others are those of a direct comparison of all pairs."""

import numpy as np
import pytest

from bow2cnn.geometry.nearby import within_reach


def compare_all(points, targets, reach):
    return np.array([(np.square(point - targets).sum(1) < reach * reach).any() for point in points], bool)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("count", "targets"), [(1, 1), (300, 4), (300, 200), (2000, 50)])
def test_points_within_reach_are_those_of_all_comparisons(seed, count, targets):
    rng = np.random.default_rng([seed, count])
    points, targets = (np.float32(rng.random((number, 2)) * (1024, 768)) for number in (count, targets))
    reach = np.float64(0.02 * 1024)
    near = within_reach(points, targets, reach)
    np.testing.assert_array_equal(near, compare_all(points, targets, reach))
    assert count == 1 or 0 < near.sum() < count


@pytest.mark.parametrize("kind", [float, np.float64])
def test_distances_next_to_the_reach_are_rounded_as_in_a_direct_comparison(kind):
    """On a circle about a target hardly any distance is exactly the reach, and in single precision nearly all are it or next to it."""
    turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 3000)
    targets, reach = np.float32([[411.7, 287.3]]), kind(20.48)
    points = np.float32(targets + reach * np.column_stack([np.cos(turn), np.sin(turn)]))
    near = within_reach(points, targets, reach)
    np.testing.assert_array_equal(near, compare_all(points, targets, reach))
    assert 500 < near.sum() < 2500


def test_no_points_and_no_targets():
    none, some = np.zeros((0, 2), np.float32), np.ones((3, 2), np.float32)
    assert within_reach(none, some, 5.0).shape == (0,)
    assert not within_reach(some, none, 5.0).any()
