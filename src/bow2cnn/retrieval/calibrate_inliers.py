"""Calibration of the numbers of inliers from which a photo counts as verified, by the inliers of unrelated photos of the collection.

The number of matches that agree by chance depends on the number of words and of features, so a fixed number of inliers does not mean the
same in a small and in a large collection. Some photos are drawn as queries. Each query is verified as it is and with other places: the
features keep their words, descriptors, sizes and directions. Then matches agree by chance alone. For words the axes are swapped (mirrored
places would not serve, because facades are symmetric). For all features the places are shuffled, because an epipolar geometry survives a
swap. Photos with more inliers for the query as it is show the same thing, and are left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.features.distances import distance_pool
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import count_inliers
from bow2cnn.index.engine import Engine, QuantisedFeatures
from bow2cnn.index.photo_features import photo_features

# Expected number of photos that are verified by chance for a query that shows nothing of the collection. Not all agreement of words is
# chance (windows are everywhere), so the number for words is far below the two in a hundred searches that are accepted.
_FALSE_ALARMS_BY_WORDS, _FALSE_ALARMS = 0.001, 0.02
_QUERIES = 128  # photos that are drawn as queries
_FEWEST, _MOST = 5, 100  # limits of the number of inliers; an affine transform fits any three matches
_UNRELATED = 3  # a photo with at most this number of inliers, or half of the number by chance, is unrelated to the query
_UNRELATED_BY_FEATURES = 5  # the same for inliers by all features
_COMPARED = 10  # unrelated photos that are compared with a query by all features: those that rank highest
_COUNTED = 20  # pairs in a bin from which the tail of the counts is extrapolated


class MinInliers(NamedTuple):
    """Numbers of inliers from which a photo counts as verified.

    Attributes:
        words: among the matches of words, for a photo of the index as query.
        features: among the matches of all features.
    """

    words: int
    features: int


def calibrate_verification(
    index: str | Path,
    features: Sequence[str | Path],
    out: str | Path,
    soft_words: int,
    shortlist: int,
    max_hamming: int,
    min_inliers: int,
    seed: int,
    threads: int,
    code: str = "",
) -> None:
    """Write the `verification` artefact: the numbers of inliers from which a photo counts as verified, and the counts from which they come.

    Args:
        index: path.
        features: paths of the `features` artefacts, in the order of the shards.
        out: path.
        soft_words: number of words per feature of a query from outside; only recorded, for searches.
        shortlist: number of photos that are verified for a query.
        max_hamming: largest number of bits in which the signatures of a match differ.
        min_inliers: the wanted number of inliers; 0 to calibrate it.
        seed: of the photos that are drawn.
        threads: number of queries at the same time.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: the features are of other photos, or an artefact cannot be read.
        WriteError: the disk is full or not writable.
    """
    check_photos(index, features)
    made_with = lineage("verification", lineage_of(index, "index"), shortlist, max_hamming, min_inliers, seed, code)
    engine = Engine.load(index, max_hamming)
    photos = draw_queries(len(engine), seed)
    counts = np.zeros((3, _MOST + 1), np.int64)
    if not min_inliers:
        counts = count_chance_inliers(engine, FeatureStore(features), photos, shortlist, threads)
    rates = _FALSE_ALARMS_BY_WORDS, _FALSE_ALARMS * min(1, _COMPARED / shortlist)  # the rest of a shortlist adds as many by chance
    limits = MinInliers(*(min_inliers or inlier_threshold(found, len(photos), rate) for found, rate in zip(counts, rates, strict=False)))
    params = {**limits._asdict(), "soft_words": soft_words, "shortlist": shortlist, "max_hamming": max_hamming}
    arrays = dict(zip(("words/unrelated", "features/unrelated", "words/all"), counts, strict=True))
    artefact.write(out, "verification", {**arrays, **photos_of(index)}, {**params, "photos": len(photos), "lineage": made_with})


def read_min_inliers(path: str | Path) -> MinInliers:
    """Read the thresholds of a `verification` artefact.

    Raises:
        ArtefactError: the file cannot be read.
    """
    with artefact.Reader(path, "verification") as reader:
        return MinInliers(*(int(reader.params[name]) for name in MinInliers._fields))


def draw_queries(count: int, seed: int) -> NDArray[np.int64]:
    """Draw the photos of an index that serve as queries: sorted rows out of `count`, int64 [q]."""
    return np.sort(np.random.default_rng([seed, 8]).permutation(count)[:_QUERIES])


def count_chance_inliers(engine: Engine, store: FeatureStore, photos: np.ndarray, shortlist: int, threads: int) -> NDArray[np.int64]:
    """Count the photos in the shortlists of some queries by their number of inliers.

    Args:
        engine: the index.
        store: the features of its photos.
        photos: rows of the queries, int64 [q].
        shortlist: number of photos that are verified for a query.
        threads: number of queries at the same time.

    Returns:
        int64 [3, 101]: the number of photos with 0, 1, ..., 100 or more inliers. Row 0: unrelated photos, by words, with swapped axes;
        row 1: those of them that rank highest, by all features, with shuffled places; row 2: all photos, by words, as they are.
    """

    def ask(photo: int) -> NDArray[np.int64]:
        words = engine.words(photo)
        found = engine.rank(words, shortlist + 1)[0]
        found = found[found != photo][:shortlist]
        inliers, by_chance = engine.verify_all(words, found)[0], engine.verify_all(swap_axes(words), found)[0]
        unrelated = inliers <= np.maximum(_UNRELATED, by_chance // 2)
        query = photo_features(engine, store, photo)
        shuffled = query._replace(keypoint=shuffle_places(query.keypoint, photo))
        others = [photo_features(engine, store, other) for other in found[unrelated][:_COMPARED].tolist()]
        both = np.array([[count_inliers(side, other) for side in (query, shuffled)] for other in others], np.int64).reshape(-1, 2)
        by_features = both[both[:, 0] <= np.maximum(_UNRELATED_BY_FEATURES, both[:, 1] // 2), 1]
        return np.stack([np.bincount(np.minimum(c, _MOST), minlength=_MOST + 1) for c in (by_chance[unrelated], by_features, inliers)])

    cv2.setNumThreads(1)
    with distance_pool(threads) as pool:
        counts = list(progress(pool.map(ask, photos.tolist()), "verification", len(photos)))
    return np.sum(counts, axis=0, dtype=np.int64) if counts else np.zeros((3, _MOST + 1), np.int64)


def swap_axes(words: QuantisedFeatures) -> QuantisedFeatures:
    """The same features with the x and y of their places swapped, each as a share of its side."""
    keypoint = words.keypoint.copy()
    keypoint[:, :2] = words.keypoint[:, 1::-1] / words.size[::-1] * words.size
    return QuantisedFeatures(words.word, words.signature, keypoint, words.feature, words.size, words.nearest)


def shuffle_places(keypoint: np.ndarray, seed: int) -> NDArray[np.float32]:
    """Keypoints float32 [N, 6] whose places are permuted at random. (An epipolar geometry would survive a swap of the axes.)"""
    shuffled = keypoint.copy()
    shuffled[:, :2] = np.random.default_rng(seed).permutation(keypoint[:, :2])
    return shuffled


def inlier_threshold(counts: NDArray[np.int64], queries: int, rate: float) -> int:
    """The smallest number of inliers that unrelated photos reach less often than a rate.

    Events at this rate are hardly counted, so the tail is extrapolated: each further inlier by chance is rarer by about the same factor.

    Args:
        counts: number of unrelated photos with 0, 1, ... inliers, int64 [m].
        queries: number of queries from which the counts come.
        rate: largest expected number of photos per query.
    """
    reached = np.cumsum(counts[::-1])[::-1]  # photos with this number of inliers or more
    reliable = np.flatnonzero(reached >= _COUNTED)
    if len(reliable) < 2 or not queries:
        return _FEWEST
    last = int(reliable[-1])
    allowed = rate * queries
    if reached[last] <= allowed:
        return max(_FEWEST, int(np.argmax(reached <= allowed)))
    factor = np.log(reached[last - 1] / reached[last]) if last else 0.0
    # A tail that does not fall is not chance: the threshold then comes from the counts themselves.
    more = np.log(reached[last] / allowed) / factor if factor > 0 else np.argmax(reached <= allowed) - last
    return min(max(_FEWEST, last + int(np.ceil(more))), _MOST)
