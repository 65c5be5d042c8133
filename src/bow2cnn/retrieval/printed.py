"""Marks that nobody masked must not verify a pair: matches of what is printed on two photos, and not of what the photos show.

What is printed on a photo (a logo, a band with an agency's name, a grid of small signs) matches as no building does: the matches agree
with one similarity transform without rotation, to a pixel or so, of a scale that the sizes of the photos give (a mark has one size in
pixels, or in shares of a side), and it is anchored: it keeps its place in the frame, in its own scale or in shares of the frame, from a
corner, an edge or the middle. Near copies of one photo match like this too, and so do the frames of a fixed camera. But there nearly all
features match, all over the frame.
"""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np

_TOLERANCE = 0.005  # of the longer side: how closely matches of a mark follow its transform
_REACH = 0.02  # of the longer side: as in the index, what is so near to a mark is of it
_ANCHORED = 0.01  # of either side: how closely a mark keeps its place in the frame
_ANCHORS = np.array([0.0, 0.5, 1.0])  # of either side
_TRIED = 32  # matches whose shift is tried
_FEWEST = 4
_MOST = 0.4  # of the inliers are of a mark, or it decides nothing: chance adds some to those that masking left
_GRID, _SMALL = 10, 0.25  # cells along a side, and the share of the cells that a mark in one place covers at most
_FEW = 0.3  # of the features of the richer photo; near copies have more in common
_SPARSE = 0.05  # of the features of the richer photo, of which a mark all over the frame has fewer
_MARKS = 4  # of a pair


def verify_unprinted(
    verify: Callable, match: np.ndarray, keypoint_a: np.ndarray, keypoint_b: np.ndarray, size_a: tuple, size_b: tuple, features: int
) -> tuple:
    """What a verification finds without the matches of a mark that both photos bear, where many of its inliers are of one.

    Signs that are tiled over a photo match each other too; so whatever lies at a mark in either photo is set aside. And of two photos with
    one mark others are looked for that keep their place along one side only, as numbers and names do along a band.

    Args:
        verify: from matches int32 [k, 2] to a geometry and the inliers among them, int32 [j, 2].
        match: int32 [k, 2], tentative matches, rows of the keypoints.
        keypoint_a, keypoint_b: float32 [N, >=2], pixels of the photos.
        size_a, size_b: (width, height), pixels.
        features: number of features of the photo that has more of them.

    Returns:
        what `verify` returns.
    """
    for number in range(_MARKS):
        geometry, inliers = verify(match)
        mark = find_print(keypoint_a[inliers[:, 0], :2], keypoint_b[inliers[:, 1], :2], size_a, size_b, features, number > 0)
        if mark is None:
            return geometry, inliers
        match = match[~mark.takes(keypoint_a[match[:, 0], :2], keypoint_b[match[:, 1], :2])]
    return verify(match[:0])


class Print(NamedTuple):
    """A mark on two photos: b = factor * a + shift in complex numbers, up to `tolerance` pixels of b, seen at the places `a` and `b`
    (complex [k] each); within `reach` (pixels of either photo) its other parts may lie.
    """

    factor: complex
    shift: complex
    tolerance: float
    a: np.ndarray
    b: np.ndarray
    reach: tuple

    def takes(self, xy_a, xy_b):
        """Which matches may be of the mark, or of one part of it with another that looks the same, bool [k]; float [k, 2] each."""
        a, b = _complex(xy_a), _complex(xy_b)
        near = _near(a, self.a, self.reach[0]) | _near(b, self.b, self.reach[1])
        return near | _follows(a, b, self.factor, self.shift, 2 * self.tolerance)


def find_print(xy_a, xy_b, size_a, size_b, features, sliding=False):
    """The mark that many of the inliers of a pair are of, as a `Print`, or None.

    Args:
        xy_a, xy_b: float [k, 2], the inliers, pixels.
        size_a, size_b: (width, height), pixels.
        features: number of features of the photo that has more of them.
        sliding: whether it may keep its place along one side only.
    """
    least = max(_FEWEST, int(np.ceil(_MOST * len(xy_a))))
    if len(xy_a) < least:
        return None
    a, b, tolerance = _complex(xy_a), _complex(xy_b), _TOLERANCE * max(size_b)
    factor, shift, count = _most(a, b, _factors(size_a, size_b), tolerance, _TRIED)
    if count < least:
        return None
    follows = _follows(a, b, factor, shift, tolerance)
    shift = np.mean(b[follows] - factor * a[follows])
    follows = _follows(a, b, factor, shift, tolerance)
    sides = _anchored(*_turned(a[follows], factor, size_a), b[follows], size_b)
    if np.count_nonzero(follows) < least or sides < (1 if sliding else 2):
        return None
    few = np.count_nonzero(follows) < _SPARSE * features
    if not few and not _is_small(xy_a[follows], xy_b[follows], size_a, size_b, features):
        return None
    return Print(factor, shift, tolerance, a[follows], b[follows], (_REACH * max(size_a), _REACH * max(size_b)))


def _factors(size_a, size_b):
    """The scales that a mark can have from a to b, in each of the quarter turns, as complex numbers: of one size in pixels, or in shares
    of the width, the height, the longer or the shorter side.
    """
    factors = []
    for quarter in range(4):
        width, height = size_a[:: -1 if quarter % 2 else 1]
        sizes = [1.0, size_b[0] / width, size_b[1] / height, max(size_b) / max(size_a), min(size_b) / min(size_a)]
        factors += [scale * (1, 1j, -1, -1j)[quarter] for scale in dict.fromkeys(sizes)]
    return np.array(factors, np.complex128)


@numba.njit(cache=True, nogil=True)
def _most(a, b, factors, tolerance, tried):
    """The factor and the shift (one of so many matches' own at most) that most matches follow, and how many do."""
    best, best_factor, best_shift = 0, factors[0], factors[0]
    step = max(1, len(a) // tried)
    for factor in factors:
        for i in range(0, len(a), step):
            shift, count = b[i] - factor * a[i], 0
            for j in range(len(a)):
                off = b[j] - factor * a[j] - shift
                if off.real * off.real + off.imag * off.imag < tolerance * tolerance:
                    count += 1
            if count > best:
                best, best_factor, best_shift = count, factor, shift
    return best_factor, best_shift, best


def _complex(xy):
    return xy[:, 0].astype(np.float64) + 1j * xy[:, 1].astype(np.float64)


def _near(points, places, reach):
    return (np.abs(points[:, None] - places) < reach).any(1)


def _follows(a, b, factor, shift, tolerance):
    return np.abs(b - factor * a - shift) < tolerance


def _turned(a, factor, size):
    """Places in a photo once it is turned and scaled, within its own frame, and its size then."""
    turned, corner = a * factor, (size[0] + 1j * size[1]) * factor
    return turned + max(0.0, -corner.real) + 1j * max(0.0, -corner.imag), (abs(corner.real), abs(corner.imag))


def _anchored(a, size_a, b, size_b):
    """Along how many sides a mark (its places in two photos where it has one size) keeps its distance from an anchor, or its share of the
    side.
    """
    count = 0
    middles = ((np.mean(points.real), np.mean(points.imag)) for points in (a, b))
    for in_a, in_b, side_a, side_b in zip(*middles, size_a, size_b, strict=True):
        off = np.abs((in_b - _ANCHORS * side_b) - (in_a - _ANCHORS * side_a)).min() / max(size_b)
        count += min(off, abs(in_a / side_a - in_b / side_b)) <= _ANCHORED
    return count


def _is_small(xy_a, xy_b, size_a, size_b, features):
    """Whether the mark is in one place of either photo, and has a small part of the features."""
    covered = max(_covered(xy, size) for xy, size in ((xy_a, size_a), (xy_b, size_b)))
    return covered <= _SMALL and len(xy_a) < _FEW * features


def _covered(xy, size):
    """Share of the cells of a grid over the photo that have points."""
    cell = np.clip(xy / np.asarray(size) * _GRID, 0, _GRID - 1).astype(int)
    return len(np.unique(cell @ [_GRID, 1])) / _GRID**2
