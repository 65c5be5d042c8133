"""Chooses by validation which network between the starting one and that of the best epoch is kept."""

from collections.abc import Sequence

import numpy as np


def mean_of(scores: np.ndarray) -> float:
    """Mean of the scores of queries, float [q]; NaN without queries."""
    return float(np.mean(scores)) if len(scores) else float("nan")


def error_of(scores: np.ndarray) -> float:
    """Standard error of the mean of scores, float [q]; 0 for fewer than two."""
    return float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0


def one_standard_error_choice(scores: Sequence[np.ndarray]) -> int:
    """Choose the network nearest to the start whose mean score is within one standard error of the best mean.

    This is the one-standard-error rule (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd edition, section 7.10):
    among models that validation cannot distinguish, take the simplest. Here the simplest network is the one whose weights moved least,
    because it forgets least about photos that the collection does not show.

    Args:
        scores: for each network the scores of all queries, float [q]. The networks are in the order of their distance from the start, which
            is the first.

    Returns:
        number of the chosen network: 0 if no other has a higher mean than the start, the last one if there are no queries.
    """
    means = np.array([mean_of(values) for values in scores])
    if not np.isfinite(means).all():
        return len(scores) - 1
    best = int(np.argmax(means))
    good = (means >= means[best] - error_of(scores[best])) & (means > means[0])
    return int(np.argmax(good))  # 0 if none is good
