"""Watermarks that nobody masked must not verify a pair: matches of what is printed on two photos, and not of what the photos show.

What is printed on a photo (a logo, a band with an agency's name and a number, a grid of small signs) matches as hardly any building does.
It stands upright in the frame, its size in the one photo follows from that in the other (a mark has one size in pixels, or in shares of
a side), and each of its parts keeps its distance from an edge or the middle, or its share of the side. Numbers and names slide along their
band, so for a few lines one side is enough; each match is judged by itself. Near copies of one photo match like this too, and so do the
frames of a fixed camera. But there nearly all features match, all over the frame. Where a camera was turned or moved sideways, all matches
keep their height, but they lie at many.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bow2cnn.geometry.nearby import within_reach
from bow2cnn.geometry.verify import pose_change

_REACH = 0.02  # of the longer side: as in the index, what is so near to a mark is of it
_KEPT = 0.005  # of the longer side: how closely a mark keeps its place along a side
_MAX_LOG_SCALE, _MAX_ANGLE = 0.15, 0.1  # how exactly features tell the change of size, and the turn in radians
_FEWEST = 4
_MOST = 0.5  # of the inliers are of a mark, or it decides nothing: chance adds some to those that masking left
_GRID, _SMALL = 10, 0.25  # cells along a side, and the share of the cells that a mark in one place covers at most
_FEW = 0.3  # of the features of the richer photo; near copies have more in common
_SPARSE = 0.05  # of the features of the richer photo, of which a mark all over the frame has fewer
_LINE, _LINES = 0.02, 6  # of the longer side, and how many lines of this width lettering takes at most
_MARKS = 4  # of a pair


def verify_unprinted(
    verify: Callable, match: NDArray, frame_a: NDArray, frame_b: NDArray, size_a: tuple, size_b: tuple, features: int
) -> tuple:
    """What a verification finds without the matches of a mark that both photos bear, where many of its inliers are of one.

    Signs that are tiled over a photo match each other too; so whatever lies at a mark in either photo is set aside.

    Args:
        verify: from matches int32 [k, 2] to a geometry and the inliers among them, int32 [j, 2].
        match: int32 [k, 2], tentative matches, rows of the frames.
        frame_a, frame_b: float32 [N, 6], affine frames (x, y, a11, a12, a21, a22), pixels of the photos.
        size_a, size_b: (width, height), pixels.
        features: number of features of the photo that has more of them.

    Returns:
        what `verify` returns.
    """
    for _ in range(_MARKS):
        geometry, inliers = verify(match)
        mark = find_print(frame_a[inliers[:, 0]], frame_b[inliers[:, 1]], size_a, size_b, features)
        if mark is None:
            return geometry, inliers
        match = match[~mark.takes(frame_a[match[:, 0]], frame_b[match[:, 1]])]
    return verify(match[:0])


class Print(NamedTuple):
    """What is printed on two photos.

    Attributes:
        turn: quarter turns from a to b.
        scale: size in b of what has size 1 in a.
        size_a, size_b: (width, height) of the photos.
        sides: along how many sides it keeps its place.
        a, b: float [k, 2], the places where it was seen.
    """

    turn: int
    scale: float
    sides: int
    size_a: tuple
    size_b: tuple
    a: NDArray
    b: NDArray

    def takes(self, frame_a: NDArray, frame_b: NDArray) -> NDArray[np.bool_]:
        """Which matches may be of it, or of one part of it with another that looks the same, bool [k]; float [k, 6] each."""
        near_a = within_reach(frame_a[:, :2], self.a, _REACH * max(self.size_a))
        near_b = within_reach(frame_b[:, :2], self.b, _REACH * max(self.size_b))
        kept = _sides_kept(frame_a, frame_b, pose_change(frame_a, frame_b), self.turn, self.scale, self.size_a, self.size_b)
        return near_a | near_b | (kept >= self.sides)


def find_print(frame_a: NDArray, frame_b: NDArray, size_a: tuple, size_b: tuple, features: int) -> Print | None:
    """The mark that many of the inliers of a pair are of, or None.

    Args:
        frame_a, frame_b: float [k, 6], the inliers.
        size_a, size_b, features: see `verify_unprinted`.
    """
    least = max(_FEWEST, int(np.ceil(_MOST * len(frame_a))))
    size_a, size_b = tuple(map(float, size_a)), tuple(map(float, size_b))
    change = pose_change(frame_a, frame_b)
    ways = [(turn, scale, _sides_kept(frame_a, frame_b, change, turn, scale, size_a, size_b)) for turn, scale in _ways(size_a, size_b)]
    for sides in (2, 1):
        turn, scale, kept = max(ways, key=lambda way: np.count_nonzero(way[2] >= sides))
        a, b = frame_a[kept >= sides, :2], frame_b[kept >= sides, :2]
        if least <= len(a) < _FEW * features:
            sparse = len(a) < _SPARSE * features
            if (sparse or _is_small(a, b, size_a, size_b)) if sides == 2 else _is_lettering(a, b, size_a, size_b):
                return Print(turn, scale, sides, size_a, size_b, a, b)
    return None


def _ways(size_a, size_b):
    """The quarter turns and scales that a mark can have from a to b: of one size in pixels, or in shares of the width, the height, the
    longer or the shorter side.
    """
    for turn in range(4):
        width, height = size_a[:: -1 if turn % 2 else 1]
        scales = (1.0, size_b[0] / width, size_b[1] / height, max(size_b) / max(size_a), min(size_b) / min(size_a))
        yield from ((turn, scale) for scale in dict.fromkeys(scales))


def _sides_kept(frame_a, frame_b, change, turn, scale, size_a, size_b):
    """Along how many sides matches keep their place; none, where they do not change in size and direction as given. int64 [k].

    Args:
        change: see `pose_change`.
        turn, scale: see `Print`.
    """
    x, y = frame_a[:, :2].astype(np.float64).T
    for _ in range(turn):
        x, y, size_a = size_a[1] - y, x, size_a[::-1]
    off = np.abs(change[1] - turn * np.pi / 2) % (2 * np.pi)
    upright = (np.abs(change[0] - np.log(scale)) <= _MAX_LOG_SCALE) & (np.minimum(off, 2 * np.pi - off) <= _MAX_ANGLE)
    sides = zip((x, y), frame_b[:, :2].astype(np.float64).T, size_a, size_b, strict=True)
    return upright * sum(_off(a * scale, b, side_a * scale, side_b) < _KEPT * max(size_b) for a, b, side_a, side_b in sides)


def _off(place_a, place_b, side_a, side_b):
    """By how much places change along a side: from either end, from the middle, or as a share of the side; the least of these."""
    off, longer = place_b - place_a, side_b - side_a
    return np.abs([off, off - longer / 2, off - longer, place_b - place_a * side_b / side_a]).min(0)


def _is_small(a, b, size_a, size_b):
    """Whether places float [k, 2] (pixels) are in a small part of either photo."""
    return max(_covered(xy, size) for xy, size in ((a, size_a), (b, size_b))) <= _SMALL


def _is_lettering(a, b, size_a, size_b):
    """Whether places are in a few lines along a side of either photo."""
    lines = [len(np.unique(xy[:, axis] // (_LINE * max(size)))) for xy, size in ((a, size_a), (b, size_b)) for axis in (0, 1)]
    return max(min(lines[:2]), min(lines[2:])) <= _LINES


def _covered(xy, size):
    """Share of the cells of a grid over the photo that have points."""
    cell = np.clip(xy / np.asarray(size) * _GRID, 0, _GRID - 1).astype(int)
    return len(np.unique(cell @ [_GRID, 1])) / _GRID**2
