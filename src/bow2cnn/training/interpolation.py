"""Which of the networks on the way from the start to the best epoch is kept: validation says, and nothing else."""

import numpy as np


def mean_of(scores):
    """Mean of the scores of queries, NaN where there are none."""
    return float(np.mean(scores)) if len(scores) else float("nan")


def error_of(scores):
    """Standard error of that mean, 0 where there are fewer than two."""
    return float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0


def one_standard_error_choice(scores):
    """The network nearest to the start that is as good as the best one to within one standard error.

    The one-standard-error rule (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd edition, section 7.10): of models
    that validation cannot tell apart, the simplest. Here that is the one that has moved least, for it has forgotten least of what the
    collection does not show.

    Args:
        scores: per network, in the order of their distance from the start, the scores of all queries, float [q]; the start is the first.

    Returns:
        its number: 0 where no other has a higher mean than the start, the last one where there are no queries.
    """
    means = np.array([mean_of(values) for values in scores])
    if not np.isfinite(means).all():
        return len(scores) - 1
    best = int(np.argmax(means))
    good = (means >= means[best] - error_of(scores[best])) & (means > means[0])
    return int(np.argmax(good))  # 0 where none is
