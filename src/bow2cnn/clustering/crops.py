"""Parts of a photo as queries of their own: sideways, closer and from further away (Schonberger et al., CVPR 2015).

A photo that shares a margin with the query, a detail of it or the whole of what it is a part of has little in common with all of it, and
comes late in its ranking. With the part that they share it comes early.
"""

import numpy as np

_MARGIN, _HALF = 0.4, 0.5  # of a side
_CORNERS = ((0.0, 0.0), (0.0, 0.5), (0.25, 0.25), (0.5, 0.0), (0.5, 0.5))  # of the closer views: four quarters and the middle
_COARSE = 0.4  # of the features, the largest: what is left of a photo in another from further away
_FEWEST = 30  # features of a view


def crop_rows(keypoint, size):
    """What a photo's views see.

    Args:
        keypoint: float32 [N, 6] frames (x, y, a11, a12, a21, a22) in pixels.
        size: of the photo, (width, height).

    Returns:
        list of rows int64, one for every view with features enough: left, right, top, bottom; closer; from further away.
    """
    x, y = keypoint[:, 0] / size[0], keypoint[:, 1] / size[1]
    area = np.abs(keypoint[:, 2] * keypoint[:, 5] - keypoint[:, 3] * keypoint[:, 4])
    sideways = [x < _MARGIN, x > 1 - _MARGIN, y < _MARGIN, y > 1 - _MARGIN]
    closer = [(x >= left) & (x < left + _HALF) & (y >= top) & (y < top + _HALF) for left, top in _CORNERS]
    away = area >= np.quantile(area, 1 - _COARSE) if len(area) else np.zeros(0, bool)
    return [rows for rows in map(np.flatnonzero, [*sideways, *closer, away]) if len(rows) >= _FEWEST]
