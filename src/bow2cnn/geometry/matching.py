"""Matching and verification of a pair of photos with all their descriptors, as 3D reconstruction needs it.

The accuracy of a feature's place depends on the size at which features were detected, not on the size of the file. So tolerances are in
pixels of the detector (`FeatureStore.scale` has the factors to pixels of the file).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from bow2cnn.features.distances import Products
from bow2cnn.geometry.verify import MAX_ANGLE, MAX_LOG_SCALE, pose_change

_RATIO = 0.85  # of the distances to the nearest and second nearest descriptor (Lowe, IJCV 2004, section 7.1)
_ERROR = 4.0  # pixels of the detector to the epipolar line; COLMAP's default
_SAME_PLACE = 0.02  # largest distance of places that count as the same in two photos, as a fraction of each side
# Nearly collinear inliers (a printed name, a horizon) do not determine a geometry, not even with a few others that agree by chance. So this
# is the smallest standard deviation across the main axis, for all inliers and for the 80 % nearest to a line, as a fraction of the longer
# side.
_MIN_SPREADS = {1.0: 0.012, 0.8: 0.006}
_PLACE = 0.02  # side of the cells in which all matches count once, as a fraction of the longer side: one or two letters of a watermark
_LANES = 64
_LINE_FITS = 5  # iterations of the fit of a line


def match_descriptors(a: np.ndarray, b: np.ndarray) -> NDArray[np.int32]:
    """Find mutual nearest neighbours that pass the ratio test in both directions.

    Args:
        a, b: descriptors uint8 [n, 128] and [m, 128].

    Returns:
        rows of a and of b, int32 [k, 2], by row of a.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.int32)
    products, ratio = Products(a, b), np.float32(_RATIO**2)
    squares_a, squares_b = products.squares(0), products.squares(1)
    nearest, of_b = np.full(len(a), -1, np.int32), _NearestOfB.empty(len(b))
    for start, block in products:
        rows = slice(start, start + len(block))
        _nearest(block, squares_a[rows], squares_b, ratio, start, nearest[rows], *of_b)
    return _mutual(nearest, ratio, *of_b)


def deduplicate_matches(keypoint_a: np.ndarray, keypoint_b: np.ndarray, match: np.ndarray) -> NDArray[np.int32]:
    """Keep the first of the matches that join the same places: features of one spot in several sizes or directions are not more evidence.

    Args:
        keypoint_a, keypoint_b: float32 [N, >=2] and [M, >=2], pixels of the detector.
        match: rows of the keypoints, int32 [k, 2].

    Returns:
        the matches that are kept, int32 [j, 2].
    """
    places = np.concatenate([keypoint_a[match[:, 0], :2], keypoint_b[match[:, 1], :2]], 1).astype(np.float32)
    return match[_first_at_places(places, np.float32(_ERROR**2))]


# Without `scipy.spatial.cKDTree`: whether a match is kept depends on the matches kept before it, so a loop over pairs of near matches would
# remain. For the few hundred matches of two photos this compiled loop over all pairs is faster, and it lets other threads work.
@numba.njit(cache=True, nogil=True)
def _first_at_places(places, limit):
    """Whether a match is kept, bool [k]: no match kept before it is nearer than the limit (squared pixels) in both photos.

    Args:
        places: float32 [k, 4], x and y in a, x and y in b.
    """
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


def verify_epipolar(keypoint_a: np.ndarray, keypoint_b: np.ndarray, match: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the fundamental matrix of tentative matches (MAGSAC++: Barath et al., CVPR 2020).

    Args:
        keypoint_a, keypoint_b: float32 [N, >=2] and [M, >=2], pixels of the detector.
        match: rows of the keypoints, int32 [k, 2].

    Returns:
        the fundamental matrix F, float64 [3, 3] (x_b^T F x_a = 0; all zeros where none is found), and the inliers, int32 [j, 2].
    """
    nothing = np.zeros((3, 3)), np.zeros((0, 2), np.int32)
    if len(match) < 8:
        return nothing
    a, b = keypoint_a[match[:, 0], :2].astype(np.float64), keypoint_b[match[:, 1], :2].astype(np.float64)
    try:
        fundamental, mask = cv2.findFundamentalMat(a, b, cv2.USAC_MAGSAC, _ERROR, 0.999, 2000)
    except cv2.error:  # all samples are degenerate
        return nothing
    if fundamental is None or fundamental.shape != (3, 3):
        return nothing
    return fundamental, match[mask.ravel().astype(bool)]


def count_evidence(
    frame_a: np.ndarray, frame_b: np.ndarray, size_a: Sequence[float] | np.ndarray, size_b: Sequence[float] | np.ndarray
) -> int:
    """Count the places at which matches agree in their change of size and direction, in the photo with fewer such places.

    By chance a match fits an epipolar geometry wherever it lies along its line, but then its size and direction hardly change as those of
    other matches do. Printed letters match each other many times in one place, so near matches count once.

    Args:
        frame_a, frame_b: frames of the matched features (x, y, a11, a12, a21, a22), float32 [k, 6], pixels.
        size_a, size_b: (width, height) of the photos, in the same pixels.
    """
    agreeing = _largest_agreement(*pose_change(frame_a, frame_b), MAX_LOG_SCALE, MAX_ANGLE)
    return min(_count_places(frame[agreeing, :2], size) for frame, size in ((frame_a, size_a), (frame_b, size_b)))


@numba.njit(cache=True, nogil=True)
def _largest_agreement(scale, turn, max_log_scale, max_angle):
    """The largest set of matches that change in size and direction like one of them, bool [k]."""
    largest, count = np.zeros(len(scale), np.bool_), 0
    for i in range(len(scale)):
        off = np.abs(turn - turn[i]) % (2 * np.pi)
        agreeing = (np.abs(scale - scale[i]) < max_log_scale) & (np.minimum(off, 2 * np.pi - off) < max_angle)
        if agreeing.sum() > count:
            largest, count = agreeing, agreeing.sum()
    return largest


def _count_places(xy, size):
    return len(np.unique(np.floor(xy / (_PLACE * max(size))), axis=0))


def minor_axis_std(xy: np.ndarray, share: float = 1.0) -> float:
    """Standard deviation of points across their main axis; it is near zero when they lie on a line.

    Args:
        xy: float [n, 2].
        share: share of the points that counts: those nearest to a line that is fitted to them, iteratively.
    """
    if len(xy) < 3:
        return 0.0
    xy, kept = xy.astype(np.float64), np.ones(len(xy), bool)
    if share < 1:
        for _ in range(_LINE_FITS):
            away = np.abs((xy - xy[kept].mean(0)) @ np.linalg.eigh(np.cov(xy[kept].T))[1][:, 0])
            kept = away <= np.sort(away)[int(np.ceil(share * len(xy))) - 1]
    return float(np.sqrt(max(np.linalg.eigvalsh(np.cov(xy[kept].T))[0], 0.0)))


def is_degenerate(
    keypoint_a: np.ndarray,
    keypoint_b: np.ndarray,
    inliers: np.ndarray,
    size_a: Sequence[float] | np.ndarray,
    size_b: Sequence[float] | np.ndarray,
) -> bool:
    """Whether the inliers, or most of them, lie on a line or in one spot in one of the photos.

    Args:
        keypoint_a, keypoint_b: float32 [N, >=2] and [M, >=2], pixels.
        inliers: rows of the keypoints, int32 [k, 2].
        size_a, size_b: (width, height) of the photos, pixels.
    """
    points = [k[inliers[:, side], :2] / max(size) for side, (k, size) in enumerate(((keypoint_a, size_a), (keypoint_b, size_b)))]
    return any(minor_axis_std(xy, share) < least for xy in points for share, least in _MIN_SPREADS.items())


def static_fraction(
    keypoint_a: np.ndarray,
    keypoint_b: np.ndarray,
    inliers: np.ndarray,
    size_a: Sequence[float] | np.ndarray,
    size_b: Sequence[float] | np.ndarray,
) -> float:
    """Share of the inliers that lie at the same place in both photos, as a watermark or a border does and hardly ever a building.

    Args:
        keypoint_a, keypoint_b, inliers, size_a, size_b: see `is_degenerate`; at least one inlier.
    """
    a, b = (k[rows, :2] / size for k, rows, size in ((keypoint_a, inliers[:, 0], size_a), (keypoint_b, inliers[:, 1], size_b)))
    return float((np.abs(a - b).max(1) < _SAME_PLACE).mean())


class _NearestOfB(NamedTuple):
    """For every row of b: the nearest row of a, int32 [m], and the squared distances to the nearest two, float32 [m] each."""

    row: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def empty(cls, count):
        return cls(np.full(count, -1, np.int32), np.full(count, np.inf, np.float32), np.full(count, np.inf, np.float32))


# The loops are vectorised: no distance is NaN, and the smallest two of a row are first found in `_LANES` interleaved parts of it.
@numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _nearest(products, squares_a, squares_b, ratio, start, nearest, row_b, first_b, second_b):
    """Find the nearest row of b of each row of a in a block, where it passes the ratio test, and update the nearest rows of a for all of b.

    Args:
        products: inner products of the block's rows of a with those of b, [rows, m].
        squares_a, squares_b: squared norms of the rows, float32.
        ratio: largest ratio of the squared distances to the nearest two.
        start: first row of the block.
        nearest: rows of b, int32 [rows], filled where the test is passed.
        row_b, first_b, second_b: see `_NearestOfB`; updated.
    """
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
        if first < ratio * second:  # fails for two equally near neighbours, also at a distance of zero
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
