"""Whether a training has collapsed: all photos get nearly the same descriptor, though every number is finite.

Descriptors have length 1, so the loss of an exploding training stays finite. It collapses instead: of EfficientNet-Lite0 with a learning
rate of 0.01 (Adam), the spread of the descriptors fell to a thousandth of that of the start in four steps, and stayed below a hundredth. In
a healthy training it stayed above a quarter, because the loss pushes negatives away from each other.
"""

import numpy as np

_SMALLEST = 0.01  # of the spread of the starting network
_LOOKED_AT = 1000  # photos


def find_collapse(descriptors: np.ndarray, start: np.ndarray) -> str | None:
    """The sign that a training has collapsed; None if it has not.

    Args:
        descriptors: float32 [n, D], of some photos; rows of zeros do not count.
        start: float32 [n, D], of the same photos by the starting network.
    """
    rows = np.flatnonzero(descriptors.any(1))[:_LOOKED_AT]
    if len(rows) <= 3:  # they may be one photo in different files
        return None
    before, now = _spread(start[rows]), _spread(descriptors[rows])
    if now >= _SMALLEST * before:
        return None
    return f"all descriptors are nearly the same: their variance is {now:.1e}, at the start it was {before:.1e}"


def _spread(descriptors):
    """Mean squared distance of descriptors from their mean."""
    return float(descriptors.astype(np.float64).var(axis=0).sum())
