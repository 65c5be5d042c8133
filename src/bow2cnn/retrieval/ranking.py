"""A ranking of the photos of an index."""

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """A ranking.

    Attributes:
        photo: rows of the index, best first, int64 [r].
        score: by which the photos are ordered, never rising, float32 [r].
        inliers: numbers of verified inliers, int32 [r]; 0 for photos outside the shortlist.
    """

    photo: np.ndarray
    score: np.ndarray
    inliers: np.ndarray
