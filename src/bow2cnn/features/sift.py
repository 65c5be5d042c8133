"""SIFT features (Lowe, IJCV 2004) found by OpenCV, with RootSIFT descriptors (Arandjelovic and Zisserman, CVPR 2012)."""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from bow2cnn.features.descriptor import describe

# The square root of an L1-normalised SIFT vector has unit L2 norm. Values above 0.5 are very rare, so a factor of 512 uses the byte well.
DESCRIPTOR_SCALE = 512.0

_EDGE = 16  # Lowe takes 10; for the same number of features a larger ratio allows a higher contrast threshold
_LAYERS, _SIGMA = 3, 1.6  # OpenCV's defaults: layers per octave, and the blur of the first layer
# Of two features with the same contrast the larger is found again more often, so strength is contrast times size to this power.
_SIZE_POWER = 0.6
_FAINTEST = 0.5  # OpenCV detects from this fraction of the wanted strength on, because large features may have less contrast
# Two features as near as this (pixels) and as similar in size (ratio) describe the same thing twice, and the ratio test would reject
# matches of both.
_MIN_DISTANCE, _MAX_SIZE_RATIO = 1.5, 1.3


def detect(
    gray: np.ndarray, max_features: int, scale: float | np.ndarray = 1.0, upright: bool = False, contrast: float = 0.02
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Find and describe the features of a grey photo.

    Args:
        gray: uint8 [h, w].
        max_features: maximum number of features; the strongest are kept, without those next to a stronger one. Strength is the
            difference-of-Gaussians contrast, times (sigma / 1.6)^0.6.
        scale: factor from the pixels of `gray` to those of the full photo: one number, or float [2] for x and y.
        upright: all features have the direction of the photo instead of their own. Photos are taken upright, and things that lie differ
            from things that stand (Perdoch, Chum, Matas, Efficient representation of local geometry, CVPR 2009).
        contrast: smallest strength, as a fraction of the range of grey values.

    Returns:
        keypoints float32 [N, 6] and descriptors uint8 [N, 128], both by falling strength. A keypoint is an affine frame (x, y, a11, a12,
        a21, a22) in pixels of the full photo; the centre of the top left pixel is (0.5, 0.5).
    """
    # OpenCV's precise upscaling blurs every second pixel more than its neighbours.
    sift = cv2.SIFT.create(contrastThreshold=_FAINTEST * contrast, edgeThreshold=_EDGE, enable_precise_upscale=False)
    columns = _strongest(_columns(sift.detect(gray, None), upright), gray.shape, max_features, contrast / _LAYERS)
    return _frames(columns, scale), root_sift(describe(gray, columns[:2].T, *columns[2:4]))


def _columns(found, upright):
    """OpenCV's keypoints as float64 [5, N]: x, y (the centre of the top left pixel is 0.5, 0.5), sigma, angle (radians), strength."""
    columns = np.empty((5, len(found)))
    columns[:2] = np.reshape(cv2.KeyPoint_convert(found), (-1, 2)).T
    columns[2:] = [[k.size for k in found], [k.angle for k in found], [k.response for k in found]]
    columns[:2] += 0.25  # not 0.5: without the precise upscaling, points lie a quarter of a pixel too far to the right and down
    columns[2] /= 2
    columns[3] = np.deg2rad(columns[3])
    columns[4] *= (columns[2] / _SIGMA) ** _SIZE_POWER
    if upright:
        columns[3] = 0
        columns = np.unique(columns, axis=1)  # OpenCV lists a place with two directions twice
    return columns


def _strongest(columns, shape, most, least):
    """The strongest features without those next to a stronger one, by falling strength; equally strong ones (the directions of one place)
    by place, size and direction.
    """
    x, y, sigma, angle, strength = columns
    order = np.lexsort((angle, -sigma, y, x, -strength))
    columns = columns[:, order[strength[order] >= least]]
    cells = (int(side / _MIN_DISTANCE) + 3 for side in shape)
    return columns[:, _non_maximum_suppression(columns[0], columns[1], columns[2], *cells)][:, :most]


@numba.njit(cache=True, nogil=True)
def _non_maximum_suppression(x, y, sigma, lines, columns):
    """Indices of the features that are kept, strongest first: no stronger one lies within `_MIN_DISTANCE` pixels at a similar size. The
    directions of one place are all kept.

    Args:
        x, y, sigma: places and sizes by falling strength, float64 [N], pixels.
        lines, columns: size of a grid of cells with side `_MIN_DISTANCE`, and one more cell on each side.
    """
    last, before, kept = np.full((lines, columns), -1, np.int32), np.full(len(x), -1, np.int32), np.zeros(len(x), np.bool_)
    for row in range(len(x)):
        line = min(max(int(y[row] / _MIN_DISTANCE) + 1, 1), lines - 2)
        column = min(max(int(x[row] / _MIN_DISTANCE) + 1, 1), columns - 2)
        kept[row] = True
        for cell in range(9):
            other = last[line - 1 + cell // 3, column - 1 + cell % 3]
            while other >= 0 and kept[row]:
                dx, dy = x[row] - x[other], y[row] - y[other]
                near = 0 < dx * dx + dy * dy < _MIN_DISTANCE * _MIN_DISTANCE
                kept[row] = not (near and 1 / _MAX_SIZE_RATIO < sigma[row] / sigma[other] < _MAX_SIZE_RATIO)
                other = before[other]
        if kept[row]:
            before[row], last[line, column] = last[line, column], row
    return np.flatnonzero(kept)


def root_sift(descriptors: np.ndarray) -> NDArray[np.uint8]:
    """RootSIFT as bytes, uint8 [N, 128]: round(512 sqrt(d / |d|_1)) of descriptors float [N, 128] without negative values."""
    unit = descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-12)
    return np.clip(np.rint(np.sqrt(unit) * DESCRIPTOR_SCALE), 0, 255).astype(np.uint8)


def _frames(columns, scale):
    """Features as affine frames, float32 [N, 6]; see `detect`."""
    x, y, sigma, angle, _ = columns
    along_x, along_y = np.broadcast_to(scale, 2)
    cosine, sine = sigma * np.cos(angle), sigma * np.sin(angle)
    frames = x * along_x, y * along_y, along_x * cosine, -along_x * sine, along_y * sine, along_y * cosine
    return np.column_stack(frames).astype(np.float32)
