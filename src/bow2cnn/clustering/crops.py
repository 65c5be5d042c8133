"""Crops of a photo as queries of their own: sideways, closer and from further away (Schonberger et al., CVPR 2015).

Another photo may share only a margin with the query, show only a detail of it, or show it as a small part of a larger scene. Such a photo
ranks low for the whole query and high for the crop that both photos share.
"""

import numpy as np

_MARGIN, _HALF = 0.4, 0.5  # of a side of the photo
_CORNERS = ((0.0, 0.0), (0.0, 0.5), (0.25, 0.25), (0.5, 0.0), (0.5, 0.5))  # of the closer crops: four quarters and the middle
_COARSE = 0.4  # share of the features, the largest: those that a photo from further away still shows
_MIN_FEATURES = 30  # of a crop


def crop_rows(keypoint: np.ndarray, size: tuple[int, int] | np.ndarray) -> list[np.ndarray]:
    """The features in each crop of a photo.

    Args:
        keypoint: float32 [N, 6] affine frames (x, y, a11, a12, a21, a22) in pixels.
        size: width and height of the photo (pixels).

    Returns:
        Feature rows, int64 [k], of every crop with at least 30 features. The order is: left, right, top, bottom; closer; from further away.
    """
    x, y = keypoint[:, 0] / size[0], keypoint[:, 1] / size[1]
    area = np.abs(keypoint[:, 2] * keypoint[:, 5] - keypoint[:, 3] * keypoint[:, 4])
    sideways = [x < _MARGIN, x > 1 - _MARGIN, y < _MARGIN, y > 1 - _MARGIN]
    closer = [(x >= left) & (x < left + _HALF) & (y >= top) & (y < top + _HALF) for left, top in _CORNERS]
    away = area >= np.quantile(area, 1 - _COARSE) if len(area) else np.zeros(0, bool)
    return [rows for rows in map(np.flatnonzero, [*sideways, *closer, away]) if len(rows) >= _MIN_FEATURES]
