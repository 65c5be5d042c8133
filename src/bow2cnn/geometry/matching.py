"""Verification of a pair of photos with all their descriptors, as 3D reconstruction needs it.

How exactly features are placed follows the raster in which they were found, not that of the photo's file: places in the detector's
pixels have a tolerance in pixels, whatever size the file has (`FeatureStore.scale` has the factors between the two).
"""

from typing import NamedTuple

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from bow2cnn.features.distances import Products
from bow2cnn.geometry.verify import MAX_ANGLE, MAX_LOG_SCALE, pose_change

_RATIO = 0.85  # of the distances to the nearest and second nearest descriptor (Lowe, IJCV 2004, section 7.1)
_ERROR = 4.0  # pixels of the detector to the epipolar line; COLMAP's default
_SAME_PLACE = 0.02  # of either side of the photo
# Inliers that lie along a line (a printed name, a horizon) fix no geometry, and neither do those with a few more that agree by chance:
# the smallest spread of so large a share of them, as a fraction of the longer side.
_MIN_SPREADS = {1.0: 0.012, 0.8: 0.006}
_PLACE = 0.02  # side of the cell of a photo in which all matches count once, of the longer side: a letter or two of a mark
_LANES = 64
_TURNS = 5  # until the line is found


def match_descriptors(a, b):
    """Mutual nearest neighbours that pass the ratio test in both directions.

    Args:
        a, b: uint8 [n, 128], [m, 128].

    Returns:
        int32 [k, 2] rows.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.int32)
    products, ratio = Products(a, b), np.float32(_RATIO**2)
    squares_a, squares_b = products.squares(0), products.squares(1)
    nearest, of_b = np.full(len(a), -1, np.int32), Nearest.none(len(b))
    for start, block in products:
        rows = slice(start, start + len(block))
        _nearest(block, squares_a[rows], squares_b, ratio, start, nearest[rows], *of_b)
    return _mutual(nearest, ratio, *of_b)


def deduplicate_matches(keypoint_a, keypoint_b, match):
    """The first of the matches at each pair of places: features of one spot, in several scales or orientations, are no further evidence.

    Args:
        keypoint_a, keypoint_b: float32 [N, >=2], pixels of the detector.
        match: int32 [k, 2].

    Returns:
        int32 [j, 2].
    """
    places = np.concatenate([keypoint_a[match[:, 0], :2], keypoint_b[match[:, 1], :2]], 1).astype(np.float32)
    return match[_first_at_places(places, np.float32(_ERROR**2))]


# Not by `scipy.spatial.cKDTree`: whether a match is kept depends on those kept before it, so a loop over the near pairs remains, and with
# the few hundred matches of a pair of photos this one is three times as fast, and other threads work on meanwhile.
@numba.njit(cache=True, nogil=True)
def _first_at_places(places, limit):
    """Whether no match that is kept before a match lies within the limit (squared pixels) of it in both photos, bool [k]."""
    kept = np.zeros(len(places), np.bool_)
    for i in range(len(places)):
        alone = True
        for j in range(i):
            if kept[j]:
                xa, ya = places[i, 0] - places[j, 0], places[i, 1] - places[j, 1]
                xb, yb = places[i, 2] - places[j, 2], places[i, 3] - places[j, 3]
                if xa * xa + ya * ya < limit and xb * xb + yb * yb < limit:
                    alone = False
                    break
        kept[i] = alone
    return kept


def verify_epipolar(keypoint_a, keypoint_b, match):
    """Fundamental matrix and inliers of tentative matches (MAGSAC++: Barath et al., CVPR 2020).

    Args:
        keypoint_a, keypoint_b: float32 [N, >=2], pixels of the detector.
        match: int32 [k, 2].

    Returns:
        fundamental float64 [3, 3] (x_b^T F x_a = 0; zeros when there is none) and the inliers int32 [j, 2].
    """
    nothing = np.zeros((3, 3)), np.zeros((0, 2), np.int32)
    if len(match) < 8:
        return nothing
    a, b = keypoint_a[match[:, 0], :2].astype(np.float64), keypoint_b[match[:, 1], :2].astype(np.float64)
    try:
        fundamental, mask = cv2.findFundamentalMat(a, b, cv2.USAC_MAGSAC, _ERROR, 0.999, 2000)
    except cv2.error:  # degenerate samples only
        return nothing
    if fundamental is None or fundamental.shape != (3, 3):
        return nothing
    return fundamental, match[mask.ravel().astype(bool)]


def count_evidence(frame_a: NDArray, frame_b: NDArray, size_a: tuple, size_b: tuple) -> int:
    """Number of places at which matches agree, in the photo in which they are fewer.

    By chance a match fits an epipolar geometry wherever it lies along its line, but its frames hardly change in size and direction as those
    of others do. And printed letters match each other many times over in one place, so what is near to each other counts once.

    Args:
        frame_a, frame_b: float32 [k, 6], frames (x, y, a11, a12, a21, a22) of the matched features.
        size_a, size_b: (width, height), pixels of the frames.
    """
    agreeing = _largest_agreement(*pose_change(frame_a, frame_b), MAX_LOG_SCALE, MAX_ANGLE)
    return min(_count_places(frame[agreeing, :2], size) for frame, size in ((frame_a, size_a), (frame_b, size_b)))


@numba.njit(cache=True, nogil=True)
def _largest_agreement(scale, turn, max_log_scale, max_angle):
    """The matches that change in size and direction as one of them does, which has most such, bool [k]."""
    largest, count = np.zeros(len(scale), np.bool_), 0
    for i in range(len(scale)):
        off = np.abs(turn - turn[i]) % (2 * np.pi)
        agreeing = (np.abs(scale - scale[i]) < max_log_scale) & (np.minimum(off, 2 * np.pi - off) < max_angle)
        if agreeing.sum() > count:
            largest, count = agreeing, agreeing.sum()
    return largest


def _count_places(xy, size):
    return len(np.unique(np.floor(xy / (_PLACE * max(size))), axis=0))


def minor_axis_std(xy, share=1.0):
    """Standard deviation of points float [n, 2] across their main direction, near zero when they lie on a line.

    With a smaller share only of so many of them as lie nearest to a line, which is fitted to them in turn.
    """
    if len(xy) < 3:
        return 0.0
    xy, kept = xy.astype(np.float64), np.ones(len(xy), bool)
    if share < 1:
        for _ in range(_TURNS):
            away = np.abs((xy - xy[kept].mean(0)) @ np.linalg.eigh(np.cov(xy[kept].T))[1][:, 0])
            kept = away <= np.sort(away)[int(np.ceil(share * len(xy))) - 1]
    return float(np.sqrt(max(np.linalg.eigvalsh(np.cov(xy[kept].T))[0], 0.0)))


def is_degenerate(keypoint_a, keypoint_b, inliers, size_a, size_b):
    """Whether the inliers of either photo, or most of them, lie on a line or in one spot."""
    points = [k[inliers[:, side], :2] / max(size) for side, (k, size) in enumerate(((keypoint_a, size_a), (keypoint_b, size_b)))]
    return any(minor_axis_std(xy, share) < least for xy in points for share, least in _MIN_SPREADS.items())


def static_fraction(keypoint_a, keypoint_b, inliers, size_a, size_b):
    """Share of the inliers that lie at the same place in both photos, as a mark or a frame does and hardly ever a building."""
    a, b = (k[rows, :2] / size for k, rows, size in ((keypoint_a, inliers[:, 0], size_a), (keypoint_b, inliers[:, 1], size_b)))
    return float((np.abs(a - b).max(1) < _SAME_PLACE).mean())


class Nearest(NamedTuple):
    """Of every row of b the nearest row of a, int32 [m], and the squared distances to the nearest two, float32 [m]."""

    row: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def none(cls, count):
        return cls(np.full(count, -1, np.int32), np.full(count, np.inf, np.float32), np.full(count, np.inf, np.float32))


# Loops that can be vectorised: no distance is NaN, and the smallest two of a row are first found of every `_LANES`th.
@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _nearest(products, squares_a, squares_b, ratio, start, nearest, row_b, first_b, second_b):
    """Note the nearest row of b of each row of a, where the ratio test lets it be, and go on with those of b."""
    m = len(squares_b)
    distance = np.full((m + _LANES - 1) // _LANES * _LANES, np.float32(np.inf))
    firsts, seconds = np.empty(_LANES, np.float32), np.empty(_LANES, np.float32)
    for i in range(len(products)):
        for j in range(m):
            distance[j] = squares_a[i] + squares_b[j] - np.float32(2) * np.float32(products[i, j])
        firsts[:], seconds[:] = np.inf, np.inf
        for j in range(0, len(distance), _LANES):
            for lane in range(_LANES):
                found, known = distance[j + lane], firsts[lane]
                seconds[lane] = min(seconds[lane], max(found, known))
                firsts[lane] = min(found, known)
        first, second = np.float32(np.inf), np.float32(np.inf)
        for lane in range(_LANES):
            second = min(second, max(first, firsts[lane]), seconds[lane])
            first = min(first, firsts[lane])
        if first < ratio * second:  # not of two equal neighbours, at a distance of zero too
            best = 0
            while distance[best] != first:
                best += 1
            nearest[i] = best
        for j in range(m):
            found, known = distance[j], first_b[j]
            second_b[j] = min(second_b[j], max(found, known))
            row_b[j] = start + i if found < known else row_b[j]
            first_b[j] = min(found, known)


@numba.njit(cache=True, nogil=True)
def _mutual(nearest, ratio, row_b, first_b, second_b):
    found = np.empty((len(nearest), 2), np.int32)
    count = 0
    for i in range(len(nearest)):
        j = nearest[i]
        if j >= 0 and row_b[j] == i and first_b[j] < ratio * second_b[j]:
            found[count, 0], found[count, 1] = i, j
            count += 1
    return found[:count]
