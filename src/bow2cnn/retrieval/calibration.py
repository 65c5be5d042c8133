"""Calibration of the number of inliers from which a photo counts as verified, by the inliers of unrelated photos of the collection.

The number of matches that agree by chance depends on the number of words and of features, so a fixed number of inliers does not mean the
same in a small and in a large collection. Some photos are drawn as queries. Each query is verified as it is and with swapped axes: the
features keep their words, sizes and directions, and only their places change. Matches with the swapped query agree by chance. (Mirrored
places would not serve, because facades are symmetric.) Photos with more inliers for the query as it is show the same thing, and are left
out.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import Engine, QuantisedFeatures
from bow2cnn.index.query_words import quantise_query
from bow2cnn.vocabulary.vocabulary import Vocabulary

# Expected number of photos that are verified by chance for a query that shows nothing of the collection. Not all agreement is chance
# (windows are everywhere), so this is far below the two in a hundred searches that are accepted.
FALSE_ALARM_RATE = 0.001
_QUERIES = 128  # photos that are drawn as queries
_FEWEST, _MOST = 5, 100  # limits of the number of inliers; an affine transform fits any three matches
_UNRELATED = 3  # a photo with at most this number of inliers, or half of the number by chance, is unrelated to the query
_COUNTED = 20  # pairs in a bin from which the tail of the counts is extrapolated


class MinInliers(NamedTuple):
    """Numbers of inliers from which a photo counts as verified.

    Attributes:
        hard: for a query from the index, whose features have one word each.
        soft: for a query from outside, whose features have several words each.
    """

    hard: int
    soft: int


def calibrate_verification(
    index: str | Path,
    vocabulary: str | Path,
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
        index, vocabulary: paths.
        features: paths of the `features` artefacts, in the order of the shards.
        out: path.
        soft_words: number of words per feature of a query from outside.
        shortlist: number of photos that are verified for a query.
        max_hamming: largest number of bits in which the signatures of a match differ.
        min_inliers: the wanted number of inliers; 0 to calibrate it.
        seed: of the photos that are drawn.
        threads: library threads.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: the features are of other photos, or an artefact cannot be read.
        WriteError: the disk is full or not writable.
    """
    check_photos(index, features)
    made_with = lineage("verification", lineage_of(index, "index"), soft_words, shortlist, max_hamming, min_inliers, seed, code)
    engine, store = Engine.load(index, max_hamming), FeatureStore(features, capacity=0)
    photos = draw_queries(len(engine), seed)
    words = Vocabulary.load(vocabulary, threads)

    def soft_query(photo: int) -> QuantisedFeatures:
        keypoint, descriptor = store[photo]
        return quantise_query(keypoint, descriptor, tuple(engine.size[photo]), words, soft_words)

    # One after another, because quantising starts threads of its own, which the threads of the queries below must not do.
    soft = {} if min_inliers else {photo: soft_query(photo) for photo in progress(photos.tolist(), "verification: words", len(photos))}
    arrays, limits = {}, []
    for kind, query in (("hard", engine.words), ("soft", soft.__getitem__)):
        counts = np.zeros((2, _MOST + 1), np.int64)
        if not min_inliers:
            counts[:] = count_chance_inliers(engine, photos, query, shortlist, threads, progress_label=f"verification: {kind} words")
        arrays[f"{kind}/unrelated"], arrays[f"{kind}/all"] = counts
        limits.append(min_inliers or inlier_threshold(counts[0], len(photos)))
    params = {**MinInliers(*limits)._asdict(), "soft_words": soft_words, "shortlist": shortlist, "max_hamming": max_hamming}
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


def count_chance_inliers(
    engine: Engine,
    photos: np.ndarray,
    query: Callable[[int], QuantisedFeatures],
    shortlist: int,
    threads: int,
    progress_label: str,
) -> NDArray[np.int64]:
    """Count the photos in the shortlists of some queries by their number of inliers.

    Args:
        engine: the index.
        photos: rows of the queries, int64 [q].
        query: function from a row to the words of the query.
        shortlist: number of photos that are verified for a query.
        threads: number of queries at the same time.
        progress_label: name of the progress bar.

    Returns:
        int64 [2, 101]: the number of photos with 0, 1, ..., 100 or more inliers. Row 0 counts unrelated photos with the swapped query, row
        1 all photos with the query as it is.
    """

    def ask(photo: int) -> NDArray[np.int64]:
        words = query(photo)
        found = engine.rank(words, shortlist + 1)[0]
        found = found[found != photo][:shortlist]
        inliers, by_chance = engine.verify_all(words, found)[0], engine.verify_all(swap_axes(words), found)[0]
        unrelated = inliers <= np.maximum(_UNRELATED, by_chance // 2)
        return np.stack([np.bincount(np.minimum(c, _MOST), minlength=_MOST + 1) for c in (by_chance[unrelated], inliers)])

    with thread_pool(threads) as pool:
        counts = list(progress(pool.map(ask, photos.tolist()), progress_label, len(photos)))
    return np.sum(counts, axis=0, dtype=np.int64) if counts else np.zeros((2, _MOST + 1), np.int64)


def swap_axes(words: QuantisedFeatures) -> QuantisedFeatures:
    """The same features with the x and y of their places swapped, each as a share of its side."""
    keypoint = words.keypoint.copy()
    keypoint[:, :2] = words.keypoint[:, 1::-1] / words.size[::-1] * words.size
    return QuantisedFeatures(words.word, words.signature, keypoint, words.feature, words.size, words.nearest)


def inlier_threshold(counts: NDArray[np.int64], queries: int, rate: float = FALSE_ALARM_RATE) -> int:
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
