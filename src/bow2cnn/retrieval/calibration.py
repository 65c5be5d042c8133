"""From how many inliers a photo counts as verified: calibrated by what unrelated photos of the collection agree in by chance.

How many matches agree by chance depends on the number of words and of features, so no fixed number of inliers means the same in a small
collection and in a large one. Every photo drawn is asked with as it is and with its axes swapped: the features keep their words, sizes and
directions, and only their places change. What a photo of the shortlist still agrees in with them it agrees in by chance. (Mirrored places
would not do: facades are symmetric.) Photos that agree better with the query as it is show what it shows, and are left out.
"""

from collections.abc import Callable
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

# Photos that count as verified by chance, of the shortlist of a query that shows nothing of the collection. Not all agreement is chance
# (there are windows everywhere), so this is far below the two in a hundred searches that are allowed.
RATE = 0.001
_PHOTOS = 128  # that are asked with
_FEWEST, _MOST = 5, 100  # inliers: an affine transform fits any three matches
_UNRELATED = 3  # inliers: a photo with no more than these, or half of those by chance, is not related to the query
_COUNTED = 20  # pairs of a bin from which the tail of the counts is extrapolated


class MinInliers(NamedTuple):
    """Inliers from which a photo counts as verified, by the kind of query.

    Attributes:
        hard: for a photo of the index, whose features have one word each.
        soft: for a photo from outside, whose features have several.
    """

    hard: int
    soft: int


def calibrate_verification(
    index: str,
    vocabulary: str,
    features: list[str],
    out: str,
    soft_words: int,
    shortlist: int,
    max_hamming: int,
    min_inliers: int,
    seed: int,
    threads: int,
    code: str = "",
) -> None:
    """Write the `verification` artefact: the inliers from which a photo counts as verified, and the counts they come from.

    Args:
        index, vocabulary: paths.
        features: paths of the `features` artefacts, in the order of the shards.
        out: path.
        soft_words: words of every feature of a query from outside.
        shortlist, max_hamming: see `search` and `Engine`.
        min_inliers: the wanted threshold; 0 to calibrate it.
        seed: of the photos that are drawn.
        threads: library threads.
        code: digest of the code, part of the lineage.
    """
    check_photos(index, features)
    made_with = lineage("verification", lineage_of(index, "index"), soft_words, shortlist, max_hamming, min_inliers, seed, code)
    engine, store = Engine.load(index, max_hamming), FeatureStore(features, capacity=0)
    photos = draw_photos(len(engine), seed)
    words = Vocabulary.load(vocabulary, threads)

    def soft_query(photo: int) -> QuantisedFeatures:
        keypoint, descriptor = store[photo]
        return quantise_query(keypoint, descriptor, tuple(engine.size[photo]), words, soft_words)

    # One after another: words are looked up in threads of their own, which must not be begun in each of those that ask.
    soft = {} if min_inliers else {photo: soft_query(photo) for photo in progress(photos.tolist(), "verification: words", len(photos))}
    arrays, limits = {}, []
    for kind, query in (("hard", engine.words), ("soft", soft.__getitem__)):
        counts = np.zeros((2, _MOST + 1), np.int64)
        if not min_inliers:
            counts[:] = count_by_chance(engine, photos, query, shortlist, threads, progress_label=f"verification: {kind} words")
        arrays[f"{kind}/unrelated"], arrays[f"{kind}/all"] = counts
        limits.append(min_inliers or threshold(counts[0], len(photos)))
    params = {**MinInliers(*limits)._asdict(), "soft_words": soft_words, "shortlist": shortlist, "max_hamming": max_hamming}
    artefact.write(out, "verification", {**arrays, **photos_of(index)}, {**params, "photos": len(photos), "lineage": made_with})


def read_min_inliers(path: str) -> MinInliers:
    """The thresholds of a `verification` artefact."""
    with artefact.Reader(path, "verification") as reader:
        return MinInliers(*(int(reader.params[name]) for name in MinInliers._fields))


def draw_photos(count: int, seed: int) -> NDArray[np.int64]:
    """Rows of the photos of an index that are asked with, sorted."""
    return np.sort(np.random.default_rng([seed, 8]).permutation(count)[:_PHOTOS])


def count_by_chance(
    engine: Engine, photos: NDArray, query: Callable, shortlist: int, threads: int, progress_label: str
) -> NDArray[np.int64]:
    """How many photos of the shortlists of some queries have so many inliers, int64 [2, 101]; the last column has those with more, too.

    Args:
        engine: `Engine`.
        photos: int64 [q], rows of the queries.
        query: row to `QuantisedFeatures`.
        shortlist: photos of a query that are verified.
        threads: queries at once.

    Returns:
        row 0: inliers of unrelated photos with the axes swapped; row 1: inliers of all photos with the query as it is.
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
    """The same `QuantisedFeatures` with the x and y of their places swapped, each as a share of its side."""
    keypoint = words.keypoint.copy()
    keypoint[:, :2] = words.keypoint[:, 1::-1] / words.size[::-1] * words.size
    return QuantisedFeatures(words.word, words.signature, keypoint, words.feature, words.size, words.nearest)


def threshold(counts: NDArray[np.int64], queries: int, rate: float = RATE) -> int:
    """The smallest number of inliers that by chance less than `rate` photos of a query reach.

    Counts of so rare events are small, so the tail is extrapolated: by chance every inlier more is rarer by about the same factor.

    Args:
        counts: int64 [m], unrelated photos with 0, 1, ... inliers.
        queries: from which they come.
    """
    reached = np.cumsum(counts[::-1])[::-1]  # so many or more
    reliable = np.flatnonzero(reached >= _COUNTED)
    if len(reliable) < 2 or not queries:
        return _FEWEST
    last = int(reliable[-1])
    allowed = rate * queries
    if reached[last] <= allowed:
        return max(_FEWEST, int(np.argmax(reached <= allowed)))
    factor = np.log(reached[last - 1] / reached[last]) if last else 0.0
    # A tail that does not fall is no chance: the threshold then comes from the counts as they are.
    more = np.log(reached[last] / allowed) / factor if factor > 0 else np.argmax(reached <= allowed) - last
    return min(max(_FEWEST, last + int(np.ceil(more))), _MOST)
