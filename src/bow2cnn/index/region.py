"""The region of a query photo."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bow2cnn.index.engine import QuantisedFeatures


def in_region(words: QuantisedFeatures, region: Sequence[float] | None) -> QuantisedFeatures:
    """The features whose centres lie in a region (left, top, right, bottom), in pixels; all features if the region is None."""
    return words if region is None else words.select(lies_in(words.keypoint, region))


def lies_in(keypoint: np.ndarray, region: Sequence[float]) -> NDArray[np.bool_]:
    """Whether features lie in a region, bool [N].

    Args:
        keypoint: float32 [N, >=2], pixels.
        region: (left, top, right, bottom), pixels.
    """
    left, top, right, bottom = region
    x, y = keypoint[:, 0], keypoint[:, 1]
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
