"""Background photos, which are outside every cluster: which are used, on which side, and what the teacher finds of them, asked with each.

What it finds is too little to join them to anything, but for some photos enough to doubt that they show something else.
"""

import numpy as np

from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.index.engine import Engine
from bow2cnn.split.sides import TRAIN, VALIDATION


def draw(rows, limit, seed):
    """So many of some rows at most, drawn at random, sorted."""
    return rows if len(rows) <= limit else np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def add_background(group, side, background, validation, seed):
    """Give every background photo a group of its own and a drawn side, in place."""
    group[background] = group.max(initial=-1) + 1 + np.arange(len(background))
    drawn = np.random.default_rng([seed, 5]).random(len(background))
    side[background] = np.where(drawn < validation, VALIDATION, TRAIN)


def find_weak_matches(index, photos, shortlist, max_inliers, max_hamming, threads):
    """Pairs (photo, other) int32 [k, 2] of the given photos and those of their shortlist with more than `max_inliers` verified inliers.

    Args:
        index: path; not looked at where there are no photos.
        photos: rows of the photos to ask with.
    """
    if not len(photos):
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
