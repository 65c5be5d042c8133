"""How far to follow the training: what validation can and cannot tell.

The validation places are few, and they look like the ones trained on, while what a network forgets about everything else shows on neither.
So of several networks on the way from the start to the learned weights the one nearest to the start is kept that validation cannot tell
from the best (the one-standard-error rule: Breiman, Friedman, Olshen, Stone, Classification and Regression Trees 1984, section 3.4.3).
"""

import numpy as np


def choose(ap, place):
    """The first network that is not worse than the best one by more than a standard error of the difference.

    Args:
        ap: float [s, q], average precision of the queries by networks in the order of their distance to the start.
        place: int [q], the place that a query shows.

    Returns:
        row of `ap`.
    """
    best = int(np.argmax(ap.mean(1)))
    for row in range(best):
        loss = ap[best] - ap[row]
        if loss.mean() <= standard_error(loss, place):
            return row
    return best


def standard_error(values, place):
    """Standard error of a mean whose values are independent between places only (Liang and Zeger, Biometrika 1986, with the usual factor
    g / (g - 1) for g places): sqrt(g / (g - 1) sum over places of (sum of residuals)^2) / n. Zero for a single place, which says nothing
    about others."""
    _, number = np.unique(place, return_inverse=True)
    sums = np.bincount(number, values - values.mean())
    places = len(sums)
    return float(np.sqrt(places / (places - 1) * (sums**2).sum()) / len(values)) if places > 1 else 0.0
