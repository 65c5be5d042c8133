"""Background photos, which are outside every cluster: choose those that are used, draw their sides, and find their uncertain pairs.

An uncertain pair has too few inliers to join a background photo to anything, and too many to take its photos for negatives of each other.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.index.engine import Engine
from bow2cnn.split.sides import TRAIN, VALIDATION


def draw(rows: np.ndarray, limit: int, seed: int | Sequence[int]) -> np.ndarray:
    """At most `limit` of some rows, int [n], drawn at random and sorted."""
    return rows if len(rows) <= limit else np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def add_background(place: np.ndarray, side: np.ndarray, background: np.ndarray, validation: float, seed: int) -> None:
    """Give every background photo a place of its own and a drawn side, in place.

    Args:
        place, side: int [n], of all photos of the collection.
        background: int [k], rows of the background photos.
        validation: share of the background photos that get the side of validation.
        seed: of the random choice.
    """
    place[background] = place.max(initial=-1) + 1 + np.arange(len(background))
    drawn = np.random.default_rng([seed, 5]).random(len(background))
    side[background] = np.where(drawn < validation, VALIDATION, TRAIN)


def find_uncertain_pairs(
    index: str | Path | None, photos: np.ndarray, shortlist: int, max_inliers: int, max_hamming: int, threads: int
) -> np.ndarray:
    """Find the photos that match background photos with more than `max_inliers` verified inliers.

    Args:
        index: path of the `index` artefact; None, or not opened, if there are no photos.
        photos: int [n], rows of the background photos, which are the queries.
        shortlist: number of photos that are verified with each of them.
        max_inliers: largest number of inliers of a pair that is not uncertain.
        max_hamming: see `Engine`.
        threads: worker threads; the result does not depend on their number.

    Returns:
        Pairs (background photo, other photo), int32 [k, 2].

    Raises:
        ArtefactError: the index cannot be used.
    """
    if index is None or not len(photos):
        return np.zeros((0, 2), np.int32)
    engine = Engine.load(index, max_hamming)

    def ask(photo):
        words = engine.words(photo)
        found, _ = engine.rank(words, shortlist + 1)
        found = found[found != photo]
        return found[engine.verify_all(words, found)[0] > max_inliers]

    with thread_pool(threads) as pool:
        matches = list(progress(pool.map(ask, photos), "background photos", len(photos)))
    pairs = [np.stack([np.full(len(others), photo), others], 1) for photo, others in zip(photos, matches, strict=True)]
    return np.concatenate([np.zeros((0, 2), np.int32), *pairs]).astype(np.int32)
