"""Photos outside every cluster that may be negatives because the teacher, asked with each of them, found nothing like it."""

import numpy as np

from bow2cnn.parallel import thread_pool
from bow2cnn.progress import progress
from bow2cnn.retrieval.engine import Engine


def find_outsiders(index, photos, shortlist, max_inliers, max_hamming, threads):
    """The photos that no other photo of their shortlist matches with more than `max_inliers` verified inliers, sorted int64.

    Args:
        index: path.
        photos: rows of the candidates.
    """
    engine = Engine.load(index, max_hamming)

    def strongest(photo):
        words = engine.words(photo)
        found, _ = engine.rank(words, shortlist + 1)
        return engine.verify_all(words, found[found != photo])[0].max(initial=0)

    with thread_pool(threads) as pool:
        matches = list(progress(pool.map(strongest, photos), "outsiders", len(photos)))
    return np.asarray(photos, np.int64)[np.array(matches, np.int64) <= max_inliers] if len(photos) else np.zeros(0, np.int64)
