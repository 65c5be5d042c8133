"""The region of a query photo."""

from collections.abc import Sequence

from bow2cnn.index.engine import QuantisedFeatures


def in_region(words: QuantisedFeatures, region: Sequence[float] | None) -> QuantisedFeatures:
    """The features whose centres lie in a region (left, top, right, bottom), in pixels; all features if the region is None."""
    if region is None:
        return words
    left, top, right, bottom = region
    x, y = words.keypoint[:, 0], words.keypoint[:, 1]
    return words.select((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
