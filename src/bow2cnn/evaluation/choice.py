"""Choosing by validation, and by no more than validation can tell.

The validation places are few, and they look like the ones trained on, while what a network forgets about everything else shows on neither.
So of several candidates the one nearest to the start is taken that validation cannot tell from the best: the one-standard-error rule
(Breiman, Friedman, Olshen, Stone, Classification and Regression Trees 1984, section 3.4.3), places counting alike.
"""

import numpy as np


def choose(maps):
    """The first candidate that is worse than the best one by no more than a standard error of their difference.

    Args:
        maps: float [s, g], mAP at g validation places of s candidates, in the order of their distance to the start. Where one place is
            all there is, its best candidate counts; where there is none, the first one.

    Returns:
        row of `maps`.
    """
    if not maps.size:
        return 0
    best = int(np.argmax(maps.mean(1)))
    loss = maps[best] - maps[: best + 1]
    # Where only one place tells candidates apart, both sides are the same number.
    return int(np.argmax(loss.mean(1) <= standard_errors(loss) + 1e-9))


def standard_errors(values):
    """Standard error of the mean of each row, float [s], of values [s, g]; 0 where g is 1, which says nothing."""
    count = values.shape[1]
    return values.std(1, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(len(values))
