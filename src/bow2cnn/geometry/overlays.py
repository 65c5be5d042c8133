"""Overlays: logos, lettering and signs that are printed on two photos. Their matches must not verify a pair.

The masks of watermarks (`bow2cnn.index.watermarks`) miss overlays that few photos have. An overlay (a logo, a band with an agency's name
and a number, a grid of small signs) matches better than most buildings do. It is recognised by its position:

- It is upright in the frame.
- Its size in one photo follows from its size in the other, because it has a fixed size in pixels or a fixed share of a side.
- Each of its parts keeps its distance from an edge or from the middle, or its share of the side. Numbers and names slide along their band,
  so for a few lines of lettering one axis is enough.

Near copies of a photo, and the frames of a fixed camera, match in the same way. But nearly all of their features match, all over the frame.
Where a camera was turned or moved sideways, all matches keep their height, but they have many different heights.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bow2cnn.geometry.nearby import within_reach
from bow2cnn.geometry.verify import pose_change

_REACH = 0.02  # matches this near to one of an overlay belong to it, as a fraction of the longer side; the same as for watermarks
_KEPT = 0.005  # how closely an overlay keeps its place along an axis, as a fraction of the longer side
_MAX_LOG_SCALE, _MAX_ANGLE = 0.15, 0.1  # accuracy of a feature's change of size, and of its turn in radians
_FEWEST = 4  # matches of an overlay
_MIN_SHARE = 0.5  # of the inliers; an overlay with fewer is ignored, because a few matches are left by the masks or agree by chance
_GRID, _SMALL = 10, 0.25  # cells along a side, and the largest share of the cells that an overlay in one place covers
_FEW = 0.3  # largest share of the features of the photo with more features; near copies have more in common
_SPARSE = 0.05  # the same for an overlay all over the frame
_LINE, _LINES = 0.02, 6  # width of a line of lettering, as a fraction of the longer side, and the largest number of lines
_MAX_OVERLAYS = 4  # a pair with this many is not verified


def verify_without_overlay(
    verify: Callable[[np.ndarray], tuple[Any, np.ndarray]],
    match: np.ndarray,
    frame_a: np.ndarray,
    frame_b: np.ndarray,
    size_a: Sequence[float] | np.ndarray,
    size_b: Sequence[float] | np.ndarray,
    features: int,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Verify a pair of photos; where many inliers belong to an overlay on both photos, verify again without its matches.

    Signs that are tiled over a photo match each other too. So all matches near an overlay in one of the photos are left out.

    Args:
        verify: function from matches int32 [k, 2] to a geometry and the inliers among the matches, int32 [j, 2].
        match: tentative matches, rows of the frames, int32 [k, 2].
        frame_a, frame_b: affine frames (x, y, a11, a12, a21, a22), float32 [N, 6] and [M, 6], pixels of the photos.
        size_a, size_b: (width, height) of the photos, pixels.
        features: number of features of the photo that has more features.

    Returns:
        geometry and inliers, as returned by `verify`, and the matches that are left, int32 [m, 2].
    """
    for _ in range(_MAX_OVERLAYS):
        geometry, inliers = verify(match)
        overlay = find_overlay(frame_a[inliers[:, 0]], frame_b[inliers[:, 1]], size_a, size_b, features)
        if overlay is None:
            return geometry, inliers, match
        match = match[~overlay.covers(frame_a[match[:, 0]], frame_b[match[:, 1]])]
    return *verify(match[:0]), match[:0]


class Overlay(NamedTuple):
    """An overlay on two photos.

    Attributes:
        turn: quarter turns from a to b.
        scale: size in b of a length 1 in a.
        axes: number of axes along which it keeps its place.
        size_a, size_b: (width, height) of the photos, pixels.
        a, b: places of its matches, float [k, 2], pixels.
    """

    turn: int
    scale: float
    axes: int
    size_a: tuple[float, ...]
    size_b: tuple[float, ...]
    a: np.ndarray
    b: np.ndarray

    def covers(self, frame_a: np.ndarray, frame_b: np.ndarray) -> NDArray[np.bool_]:
        """Whether matches may belong to the overlay, also as a match of two of its parts that look the same.

        Args:
            frame_a, frame_b: frames of the matched features, float [k, 6], pixels.

        Returns:
            bool [k].
        """
        near_a = within_reach(frame_a[:, :2], self.a, _REACH * max(self.size_a))
        near_b = within_reach(frame_b[:, :2], self.b, _REACH * max(self.size_b))
        kept = _axes_kept(frame_a, frame_b, pose_change(frame_a, frame_b), self.turn, self.scale, self.size_a, self.size_b)
        return near_a | near_b | (kept >= self.axes)


def find_overlay(
    frame_a: np.ndarray,
    frame_b: np.ndarray,
    size_a: Sequence[float] | np.ndarray,
    size_b: Sequence[float] | np.ndarray,
    features: int,
) -> Overlay | None:
    """Find the overlay to which at least half of the inliers of a pair belong; None where there is none.

    Args:
        frame_a, frame_b: frames of the inliers, float [k, 6], pixels.
        size_a, size_b, features: see `verify_without_overlay`.
    """
    least = max(_FEWEST, int(np.ceil(_MIN_SHARE * len(frame_a))))
    size_a, size_b = tuple(map(float, size_a)), tuple(map(float, size_b))
    change = pose_change(frame_a, frame_b)
    placements = [
        (turn, scale, _axes_kept(frame_a, frame_b, change, turn, scale, size_a, size_b)) for turn, scale in _placements(size_a, size_b)
    ]
    for axes in (2, 1):
        counts = [np.count_nonzero(kept >= axes) for _, _, kept in placements]
        turn, scale, kept = placements[int(np.argmax(counts))]
        a, b = frame_a[kept >= axes, :2], frame_b[kept >= axes, :2]
        if least <= len(a) < _FEW * features:
            sparse = len(a) < _SPARSE * features
            if (sparse or _is_small(a, b, size_a, size_b)) if axes == 2 else _is_lettering(a, b, size_a, size_b):
                return Overlay(turn, scale, axes, size_a, size_b, a, b)
    return None


def _placements(size_a, size_b):
    """Yield the (quarter turns, scale) that an overlay can have from a to b: its size is fixed in pixels, or as a share of the width, the
    height, the longer or the shorter side.
    """
    for turn in range(4):
        width, height = size_a[:: -1 if turn % 2 else 1]
        scales = (1.0, size_b[0] / width, size_b[1] / height, max(size_b) / max(size_a), min(size_b) / min(size_a))
        yield from ((turn, scale) for scale in dict.fromkeys(scales))


def _axes_kept(frame_a, frame_b, change, turn, scale, size_a, size_b):
    """Number of axes along which each match keeps its place, int64 [k]; 0 where its size and direction do not change by scale and turn.

    Args:
        change: see `pose_change`.
        turn, scale: see `Overlay`.
    """
    x, y = frame_a[:, :2].astype(np.float64).T
    for _ in range(turn):
        x, y, size_a = size_a[1] - y, x, size_a[::-1]
    off = np.abs(change[1] - turn * np.pi / 2) % (2 * np.pi)
    upright = (np.abs(change[0] - np.log(scale)) <= _MAX_LOG_SCALE) & (np.minimum(off, 2 * np.pi - off) <= _MAX_ANGLE)
    sides = zip((x, y), frame_b[:, :2].astype(np.float64).T, size_a, size_b, strict=True)
    return upright * sum(_displacement(a * scale, b, side_a * scale, side_b) < _KEPT * max(size_b) for a, b, side_a, side_b in sides)


def _displacement(place_a, place_b, side_a, side_b):
    """Smallest change of places along an axis, measured from either end, from the middle, or as a share of the side; pixels."""
    off, longer = place_b - place_a, side_b - side_a
    return np.abs([off, off - longer / 2, off - longer, place_b - place_a * side_b / side_a]).min(0)


def _is_small(a, b, size_a, size_b):
    """Whether places float [k, 2] (pixels) cover only a small part of both photos."""
    return max(_covered(xy, size) for xy, size in ((a, size_a), (b, size_b))) <= _SMALL


def _is_lettering(a, b, size_a, size_b):
    """Whether places lie in a few lines along a side, in both photos."""
    lines = [len(np.unique(xy[:, axis] // (_LINE * max(size)))) for xy, size in ((a, size_a), (b, size_b)) for axis in (0, 1)]
    return max(min(lines[:2]), min(lines[2:])) <= _LINES


def _covered(xy, size):
    """Share of the cells of a grid over the photo that hold points."""
    cell = np.clip(xy / np.asarray(size) * _GRID, 0, _GRID - 1).astype(int)
    return len(np.unique(cell @ [_GRID, 1])) / _GRID**2
