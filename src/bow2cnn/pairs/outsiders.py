"""What the teacher finds of the photos outside every cluster, asked with each of them: too little to join them to anything, but for some
photos enough to doubt that they show something else."""

import numpy as np

from bow2cnn.parallel import thread_pool
from bow2cnn.progress import progress
from bow2cnn.retrieval.engine import Engine


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
        matches = list(progress(pool.map(ask, photos), "outsiders", len(photos)))
    pairs = [np.stack([np.full(len(others), photo), others], 1) for photo, others in zip(photos, matches, strict=True)]
    return np.concatenate([np.zeros((0, 2), np.int32), *pairs]).astype(np.int32)
