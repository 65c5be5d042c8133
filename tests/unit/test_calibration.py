"""The number of inliers from which a photo counts as verified follows from the inliers of unrelated photos."""

import numba
import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import Engine, QuantisedFeatures
from bow2cnn.retrieval.calibrate_inliers import (
    calibrate_verification,
    count_chance_inliers,
    inlier_threshold,
    read_min_inliers,
    shuffle_places,
    swap_axes,
)


def counts(queries, shortlist, rate, factor):
    """Expected number of photos with 0, 1, ... inliers: `rate` of a shortlist have at least 1, each further inlier is rarer by `factor`."""
    reached = queries * shortlist * np.concatenate([[1.0], rate * factor ** -np.arange(30.0)])
    return np.floor(reached - np.append(reached[1:], 0)).astype(np.int64)


@pytest.mark.parametrize("factor", [3, 5, 10])
@pytest.mark.parametrize("queries", [50, 100, 1000])
def test_a_tail_is_extrapolated(queries, factor):
    """The threshold is where the tail of the counts falls below the allowed rate, to about one inlier."""
    expected = 1 + np.log(100 * 0.3 / 0.001) / np.log(factor)
    found = inlier_threshold(counts(queries, 100, 0.3, factor), queries, 0.001)
    assert max(expected, 5) - 1 <= found <= max(expected, 5) + 2


def test_more_chance_needs_more_inliers():
    few, many = (inlier_threshold(counts(100, 100, rate, 4), 100, 0.001) for rate in (0.05, 0.9))
    assert 5 <= few < many


@pytest.mark.parametrize("found", [[], [500], [0, 0, 0], [10_000, 3]])
def test_without_matches_by_chance_the_smallest_threshold_is_enough(found):
    assert inlier_threshold(np.array(found, np.int64), 100, 0.001) == 5


def test_swapped_axes_swap_places_alone():
    frame = np.float32([[10, 40, 1, 2, 3, 4], [90, 20, 5, 6, 7, 8]])
    words = QuantisedFeatures(np.uint32([3, 4]), np.uint64([1, 2]), frame, np.int32([0, 1]), (100, 50), np.array([True, False]))
    swapped = swap_axes(words)
    np.testing.assert_allclose(swapped.keypoint[:, :2], [[80, 5], [40, 45]])
    np.testing.assert_array_equal(swapped.keypoint[:, 2:], frame[:, 2:])
    assert swapped.nearest.tolist() == [True, False] and words.keypoint[0, :2].tolist() == [10, 40]


def test_shuffled_places_are_the_same_places():
    keypoint = np.random.default_rng(0).random((50, 6)).astype(np.float32)
    shuffled = shuffle_places(keypoint, 3)
    np.testing.assert_array_equal(shuffled[:, 2:], keypoint[:, 2:])
    assert sorted(shuffled[:, :2].tolist()) == sorted(keypoint[:, :2].tolist())
    assert (shuffled[:, 0] != keypoint[:, 0]).sum() > 40
    np.testing.assert_array_equal(shuffle_places(keypoint, 3), shuffled)


def test_all_queries_have_arrays_of_the_same_types():
    """Otherwise the compiled functions would be compiled twice."""
    frame = np.ones((1, 6), np.float32)
    own = QuantisedFeatures(np.uint32([3]), np.uint64([1]), frame, np.int32([0]), (100, 50))
    frozen = [array.copy() for array in (own.word, own.signature, frame, own.feature)]
    for array in frozen:
        array.flags.writeable = False
    types = {
        tuple(str(numba.typeof(getattr(words, name))) for name in ("word", "signature", "keypoint", "feature", "nearest"))
        for words in (own, swap_axes(own), own.select([0]), QuantisedFeatures(*frozen, (100, 50)))
    }
    assert len(types) == 1 and frame.flags.writeable


def test_photos_of_the_query_are_not_counted_as_chance(made):
    """Half of the photos show the same as the query. They have many inliers and are not counted as unrelated."""
    engine = Engine.load(made.index, made.max_hamming)
    photos = np.flatnonzero(made.landmark == 0)
    unrelated, by_features, everything = count_chance_inliers(engine, FeatureStore(made.features), photos, 20, 2)
    assert everything[20:].sum() > len(photos) and unrelated[8:].sum() == 0
    assert 0 < by_features.sum() <= unrelated.sum() < everything.sum() and by_features[8:].sum() <= 1


def test_the_artefact(made, tmp_path):
    arguments = {"soft_words": 3, "shortlist": 20, "max_hamming": made.max_hamming, "seed": 0}
    for threads, name in ((1, "a.h5"), (2, "b.h5")):
        calibrate_verification(made.index, made.features, tmp_path / name, **arguments, min_inliers=0, threads=threads)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes(), "the number of threads changes nothing"
    limits = read_min_inliers(tmp_path / "a.h5")
    assert 5 <= limits.words <= 20 and 5 <= limits.features <= 20
    calibrate_verification(made.index, made.features, tmp_path / "own.h5", **arguments, min_inliers=9, threads=1)
    assert read_min_inliers(tmp_path / "own.h5") == (9, 9)
    assert artefact.read(tmp_path / "own.h5", "verification")["features/unrelated"].sum() == 0
