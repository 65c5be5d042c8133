"""SIFT features (Lowe, IJCV 2004), found by OpenCV, with pooled RootSIFT descriptors (Arandjelovic and Zisserman, CVPR 2012)."""

import cv2
import numba
import numpy as np

from bow2cnn.features.descriptor import describe

# sqrt of an L1-normalised SIFT vector has unit L2 norm; a value of 0.5 hardly ever occurs, so x 512 uses the byte well.
DESCRIPTOR_SCALE = 512.0


# Lowe takes 10. At one number of features a larger ratio means more contrast.
_EDGE = 16
_LAYERS, _SIGMA = 3, 1.6  # OpenCV's defaults: layers of an octave and the blur of its first one
# Of two features of one contrast the larger is found again more often: contrasts count by size to this power.
_BY_SIZE, _FAINTEST = 0.6, 0.5  # and so much of the wanted contrast is enough for large ones
# Two features as near (pixels) and as alike in size describe the same thing twice: where they match, the ratio test throws both away.
_APART, _ALIKE = 1.5, 1.3


def detect(gray, max_features, scale=1.0, upright=False, contrast=0.02):
    """Features of a grey photo.

    Args:
        gray: uint8 [h, w].
        max_features: the strongest so many, without those beside a stronger one. Strength is the difference-of-Gaussians contrast, times
            (sigma / 1.6)^0.6.
        scale: factor from the pixels of `gray` to those of the full photo, or one along x and one along y.
        upright: whether all of them have the direction of the photo, not their own: photos are taken upright, and what lies is not what
            stands (Perdoch, Chum, Matas, Efficient representation of local geometry, CVPR 2009).
        contrast: the smallest strength, of the range of grey values.

    Returns:
        keypoints float32 [N, 6] in pixels of the full photo (x, y, a11, a12, a21, a22; centre of the top left pixel at 0.5, 0.5)
        and descriptors uint8 [N, 128], both in the order of falling strength.
    """
    # What OpenCV calls the precise upscaling blurs every second pixel more than its neighbours.
    sift = cv2.SIFT_create(contrastThreshold=_FAINTEST * contrast, edgeThreshold=_EDGE, enable_precise_upscale=False)
    columns = _strongest(_columns(sift.detect(gray, None), upright), gray.shape, max_features, contrast / _LAYERS)
    return _frames(columns, scale), root_sift(describe(gray, columns[:2].T, *columns[2:4]))


def _columns(found, upright):
    """x, y (centre of the top left pixel at 0.5, 0.5), sigma, angle (radians) and strength of OpenCV's keypoints, float64 [5, N]."""
    columns = np.empty((5, len(found)))
    columns[:2] = np.reshape(cv2.KeyPoint_convert(found), (-1, 2)).T
    columns[2:] = [[k.size for k in found], [k.angle for k in found], [k.response for k in found]]
    columns[:2] += 0.25  # not 0.5: without the precise upscaling they lie a quarter of a pixel too far to the right and down
    columns[2] /= 2
    columns[3] = np.deg2rad(columns[3])
    columns[4] *= (columns[2] / _SIGMA) ** _BY_SIZE
    if upright:
        columns[3] = 0
        columns = np.unique(columns, axis=1)  # a place with two directions is there twice
    return columns


def _strongest(columns, shape, most, least):
    """The strongest so many that have no stronger one beside them, in order; among equals (one place with two directions) by place, size
    and direction.
    """
    x, y, sigma, angle, strength = columns
    order = np.lexsort((angle, -sigma, y, x, -strength))
    columns = columns[:, order[strength[order] >= least]]
    return columns[:, _non_maximum_suppression(columns[0], columns[1], columns[2], *(int(side / _APART) + 3 for side in shape))][:, :most]


@numba.njit(cache=True, nogil=True)
def _non_maximum_suppression(x, y, sigma, lines, columns):
    """Rows of the features, strongest first, that have none of those before them beside them; directions of one place stay together."""
    last, before, kept = np.full((lines, columns), -1, np.int32), np.full(len(x), -1, np.int32), np.zeros(len(x), np.bool_)
    for row in range(len(x)):
        line = min(max(int(y[row] / _APART) + 1, 1), lines - 2)
        column = min(max(int(x[row] / _APART) + 1, 1), columns - 2)
        kept[row] = True
        for cell in range(9):
            other = last[line - 1 + cell // 3, column - 1 + cell % 3]
            while other >= 0 and kept[row]:
                dx, dy = x[row] - x[other], y[row] - y[other]
                near = 0 < dx * dx + dy * dy < _APART * _APART
                kept[row] = not (near and 1 / _ALIKE < sigma[row] / sigma[other] < _ALIKE)
                other = before[other]
        if kept[row]:
            before[row], last[line, column] = last[line, column], row
    return np.flatnonzero(kept)


def root_sift(descriptors):
    """RootSIFT as bytes: round(512 sqrt(d / |d|_1)), uint8 [N, 128], of descriptors that are not negative."""
    unit = descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-12)
    return np.clip(np.rint(np.sqrt(unit) * DESCRIPTOR_SCALE), 0, 255).astype(np.uint8)


def _frames(columns, scale):
    """Similarity frames of features."""
    x, y, sigma, angle, _ = columns
    along_x, along_y = np.broadcast_to(scale, 2)
    cosine, sine = sigma * np.cos(angle), sigma * np.sin(angle)
    frames = x * along_x, y * along_y, along_x * cosine, -along_x * sine, along_y * sine, along_y * cosine
    return np.column_stack(frames).astype(np.float32)
