"""Marks that nobody masked must not verify a pair: matches of what is printed on two photos, and not of what the photos show.

What is printed on a photo (a logo, a band with an agency's name, a grid of small signs) matches as no building does: the matches agree
with one similarity transform without rotation, to a pixel or so, of a scale that the sizes of the photos give (a mark has one size in
pixels, or in shares of a side), and it is anchored: it keeps its place in the frame, in its own scale or in shares of the frame, from a
corner, an edge or the middle. Near copies of one photo match like this too, and so do the frames of a fixed camera. But there nearly all
features match, all over the frame.
"""

import numpy as np

from bow2cnn.discovery.matching import verify_epipolar

_TOLERANCE = 0.005  # of the longer side: how closely matches of a mark follow its transform
_ANCHORED = 0.01  # of either side: how closely a mark keeps its place in the frame
_ANCHORS = np.array([0.0, 0.5, 1.0])  # of either side
_TURN = 0.05  # radians: photos are turned by quarters, and marks with them
_SAME_SCALE = 0.015
_MOST = 0.5  # of the inliers are of a mark, or it decides nothing
_GRID, _SMALL = 10, 0.25  # cells along a side, and the share of the cells that a mark in one place covers at most
_FEW = 0.3  # of the features of the richer photo; near copies have more in common
_SPARSE = 0.05  # of the features of the richer photo, of which a mark all over the frame has fewer
_MARKS = 4  # of a pair


def verify_unprinted(found_a, found_b, match, keypoint_a, keypoint_b, size_a, size_b):
    """As `verify_epipolar`, but matches of a mark that both photos bear are set aside where most of the inliers are of it.

    Args:
        found_a, found_b: float32 [N, 2], places of all features of the photos, pixels of the detector.
        match: int32 [k, 2].
        keypoint_a, keypoint_b: float32 [N, >=2], the same places in pixels of the photos.
        size_a, size_b: (width, height), pixels.

    Returns:
        see `verify_epipolar`.
    """
    features = max(len(keypoint_a), len(keypoint_b))
    for _ in range(_MARKS):
        fundamental, inliers = verify_epipolar(found_a, found_b, match)
        mark = find_print(keypoint_a[inliers[:, 0], :2], keypoint_b[inliers[:, 1], :2], size_a, size_b, features)
        if mark is None:
            return fundamental, inliers
        match = match[~mark.takes(keypoint_a[match[:, 0], :2], keypoint_b[match[:, 1], :2])]
    return verify_epipolar(found_a, found_b, match[:0])


class Print:
    """A mark on two photos: b = scale * turn(a) + shift, up to `tolerance` pixels of b."""

    def __init__(self, factor, shift, tolerance):
        self._factor, self._shift, self._tolerance = factor, shift, tolerance

    def takes(self, xy_a, xy_b):
        """Which matches may be of the mark, bool [k]; float [k, 2] each."""
        return _follows(_complex(xy_a), _complex(xy_b), self._factor, self._shift, 2 * self._tolerance)


def find_print(xy_a, xy_b, size_a, size_b, features):
    """The mark that most of the inliers of a pair are of, as a `Print`, or None.

    Args:
        xy_a, xy_b: float [k, 2], the inliers, pixels.
        size_a, size_b: (width, height), pixels.
        features: number of features of the photo that has more of them.
    """
    if len(xy_a) < 4:
        return None
    a, b, tolerance = _complex(xy_a), _complex(xy_b), _TOLERANCE * max(size_b)
    factor = _factor(a, b)
    if factor is None:
        return None
    scale, turn = abs(factor), factor / abs(factor)
    shift = _median(b - factor * a)
    follows = _follows(a, b, factor, shift, tolerance)
    for _ in range(2):
        if np.count_nonzero(follows) < max(4, _MOST * len(a)):
            return None
        scale = _fit_scale(a[follows] * turn, b[follows])
        shift = np.mean(b[follows] - scale * turn * a[follows])
        follows = _follows(a, b, scale * turn, shift, tolerance)
    if np.count_nonzero(follows) < max(4, _MOST * len(a)):
        return None
    turned = _turn_frame(a[follows], turn, size_a)
    if not (_has_scale(scale, turned[1], size_b) and _anchored(*turned, b[follows], size_b, scale)):
        return None
    few = np.count_nonzero(follows) < _SPARSE * features
    if not few and not _is_small(xy_a[follows], xy_b[follows], size_a, size_b, features):
        return None
    return Print(scale * turn, shift, tolerance)


def _complex(xy):
    return xy[:, 0].astype(np.float64) + 1j * xy[:, 1].astype(np.float64)


def _median(values):
    return np.median(values.real) + 1j * np.median(values.imag)


def _follows(a, b, factor, shift, tolerance):
    return np.abs(b - factor * a - shift) < tolerance


def _factor(a, b):
    """Scale and quarter turn from a to b as one complex number, by the median over pairs of matches; None where the turn is another."""
    half = len(a) // 2
    from_a, from_b = a - np.roll(a, half), b - np.roll(b, half)
    apart = (np.abs(from_a) > 1) & (np.abs(from_b) > 1)
    if not apart.any():
        return None
    ratio = from_b[apart] / from_a[apart]
    turn = _median(ratio / np.abs(ratio))
    quarter = np.round(np.angle(turn) / (np.pi / 2))
    if turn == 0 or abs(np.angle(turn) - quarter * np.pi / 2) > _TURN:
        return None
    return np.median(np.abs(ratio)) * 1j ** int(quarter)


def _fit_scale(a, b):
    """Of the least-squares similarity without rotation."""
    a, b = a - a.mean(), b - b.mean()
    return max(float((np.conj(a) * b).real.sum() / max((np.abs(a) ** 2).sum(), 1e-9)), 1e-9)


def _turn_frame(a, turn, size):
    """Places in a photo and its size once it is turned by quarters."""
    turned, corner = a * turn, (size[0] + 1j * size[1]) * turn
    width, height = abs(corner.real), abs(corner.imag)
    return turned + max(0.0, -corner.real) + 1j * max(0.0, -corner.imag), (width, height)


def _has_scale(scale, size_a, size_b):
    """Whether the mark has one size in pixels, or in shares of the width, the height, the longer or the shorter side."""
    sizes = [1.0, *(np.array([*size_b, max(size_b), min(size_b)]) / [*size_a, max(size_a), min(size_a)])]
    return np.abs(np.log(scale / np.array(sizes))).min() < _SAME_SCALE


def _anchored(a, size_a, b, size_b, scale):
    """Whether the mark keeps its place along either side: its distance from an anchor in its own scale, or its share of the side."""
    middles = ((np.mean(points.real), np.mean(points.imag)) for points in (a, b))
    for in_a, in_b, side_a, side_b in zip(*middles, size_a, size_b, strict=True):
        off = np.abs((in_b - _ANCHORS * side_b) - scale * (in_a - _ANCHORS * side_a)).min() / max(size_b)
        if min(off, abs(in_a / side_a - in_b / side_b)) > _ANCHORED:
            return False
    return True


def _is_small(xy_a, xy_b, size_a, size_b, features):
    """Whether the mark is in one place of either photo, and has a small part of the features."""
    covered = max(_covered(xy, size) for xy, size in ((xy_a, size_a), (xy_b, size_b)))
    return covered <= _SMALL and len(xy_a) < _FEW * features


def _covered(xy, size):
    """Share of the cells of a grid over the photo that have points."""
    cell = np.clip(xy / np.asarray(size) * _GRID, 0, _GRID - 1).astype(int)
    return len(np.unique(cell @ [_GRID, 1])) / _GRID**2
