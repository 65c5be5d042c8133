"""Recurring places: words that occur at the same place of more photos than chance explains."""

import itertools
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from bow2cnn.index.forward import ForwardFiles, ForwardIndex

# A watermark keeps its place relative to one of these: the corners, the middles of the edges and the centre of the frame.
_ANCHORS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5], [0.5, 0], [0.5, 1], [0, 0.5], [1, 0.5]])
_CELL = 1 / 80  # side of a cell, as a fraction of the photo's longer side or of the median longer side
_CELLS = 80 * 60  # number of cells of a photo
_UNEVEN = 3.0  # density of the features of a word, relative to an even distribution over the photo
_CHANCE = 0.1  # largest expected number of recurring places of a word by chance
_TABLE = 1 << 28  # largest number of bytes of counters per frame of reference
_TABLES = 5  # frames of reference that are counted at the same time


class _Frame(NamedTuple):
    """A frame of reference.

    Attributes:
        anchor: shares of width and height, float64 [2].
        cell: side of a cell in every photo, pixels, float64 [n].
    """

    anchor: np.ndarray
    cell: np.ndarray


def frames_of_reference(size: np.ndarray) -> list[_Frame]:
    """The frames of reference in which places are compared: from every anchor in shares of the longer side, and in pixels too where the
    longer sides differ.

    Args:
        size: (width, height) of the photos, int [n, 2], pixels.
    """
    side = size.max(1).astype(np.float64)
    units = [side] if len(side) == 0 or (side == side[0]).all() else [side, np.full(len(side), np.median(side))]
    return [_Frame(anchor, _CELL * unit) for unit in units for anchor in _ANCHORS]


def recurring_places(
    forward: ForwardIndex | ForwardFiles, size: np.ndarray, min_photos: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Find the places at which words recur.

    This needs memory for five tables of counters (at most 256 MB each), for one shard of the forward file, and for the recurring features.

    Args:
        forward: the words of all photos.
        size: (width, height) of the photos, int [n, 2], pixels.
        min_photos: smallest number of photos that have a word at a recurring place; more are needed for words that are so frequent that
            this number is reached by chance (see `photos_needed`).

    Returns:
        (features, photos) of each recurring place of one word in one frame of reference: rows of the forward file int64, and sorted photos
        int64.
    """
    frames = frames_of_reference(size)
    needed = photos_needed(_occurrences(forward), min_photos, len(frames))
    rounds = [frames[first : first + _TABLES] for first in range(0, len(frames), _TABLES)]
    return [place for some in rounds for place in _recurring(forward, size, some, needed)]


def _recurring(forward, size, frames, needed):
    """The recurring places in some frames of reference, see `recurring_places`. Two passes over the words: the first counts the photos of
    every place in small tables, so that the second keeps only features of places that may recur.
    """
    length = min(_TABLE, 1 << int(2 * forward.offset[-1] + 1).bit_length())
    tables = np.zeros((len(frames), length), np.uint8)
    for _, photo, shard in _numbered(forward, progress_label="watermarks: counting"):
        for frame, table in zip(frames, tables, strict=True):
            _count(_keys(shard, size, photo, frame), photo, table)
    found = [[] for _ in frames]
    for first, photo, shard in _numbered(forward, progress_label="watermarks: places"):
        least = np.minimum(needed[shard["word"]], 255)
        for frame, table, parts in zip(frames, tables, found, strict=True):
            keys = _keys(shard, size, photo, frame)
            rows = np.flatnonzero(table[_slots(keys, length)] >= least)
            parts.append((keys[rows], first + rows, photo[rows]))
    return [place for parts in found for place in _places(*map(np.concatenate, zip(*parts, strict=True)), needed)]


def _occurrences(forward):
    """Number of features of every word, int64 [K]."""
    counts = np.zeros(0, np.int64)
    for shard in forward.iter_shards(progress_label="watermarks: words"):
        found = np.bincount(shard["word"], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts


def photos_needed(occurrences: np.ndarray, min_photos: int, frames: int) -> NDArray[np.int64]:
    """Number of photos that must have a word at a place so that the place is recurring.

    The number of a word's features at a place by chance has a Poisson distribution. The threshold leaves less than a tenth of a place per
    word to chance.

    Args:
        occurrences: number of features of every word, int64 [K].
        min_photos: smallest threshold.
        frames: number of frames of reference in which places are compared.

    Returns:
        int64 [K].
    """
    numbers, word = np.unique(occurrences, return_inverse=True)
    by_chance = poisson.isf(_CHANCE / (_CELLS * frames), _UNEVEN * numbers / _CELLS).astype(np.int64) + 1
    return np.maximum(min_photos, by_chance)[word]


def _numbered(forward, progress_label):
    """Yield the first feature of every shard, the photo of each of its features, and its forward file."""
    photos, features = 0, 0
    for shard in forward.iter_shards(progress_label):
        lengths = np.diff(shard["offset"])
        yield features, photos + np.repeat(np.arange(len(lengths)), lengths), shard
        photos, features = photos + len(lengths), features + len(shard["word"])


def _keys(forward, size, photo, frame):
    """Number of the (word, cell) of every feature, int64 [N]; cells at a distance of 1,024 cells share a number."""
    origin, cell = frame.anchor * size, np.ascontiguousarray(frame.cell)
    return _number(forward["word"], np.ascontiguousarray(forward["keypoint"]), photo, origin, cell)


@numba.njit(cache=True, nogil=True)
def _number(word, keypoint, photo, origin, cell):
    keys = np.empty(len(word), np.int64)
    for i in range(len(word)):
        p = photo[i]
        x = np.int64(np.floor((keypoint[i, 0] - origin[p, 0]) / cell[p])) + 512
        y = np.int64(np.floor((keypoint[i, 1] - origin[p, 1]) / cell[p])) + 512
        keys[i] = (np.int64(word[i]) << 20) | ((x & 1023) << 10) | (y & 1023)
    return keys


def _slots(keys, length):
    """Slots of keys in a table whose length is a power of two (Fibonacci hashing: Knuth, The Art of Computer Programming, section 6.4)."""
    return (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(65 - int(length).bit_length())


def _count(keys, photo, table):
    """Count every key once per photo; the features of a photo are sorted by word. Keys that share a slot are counted together, so a count
    is never too low.
    """
    _add(keys, photo, _slots(keys, len(table)), table)


@numba.njit(cache=True, nogil=True)
def _add(keys, photo, slots, table):
    for i in range(len(keys)):
        j = i - 1
        while j >= 0 and photo[j] == photo[i] and keys[j] >> 20 == keys[i] >> 20 and keys[j] != keys[i]:
            j -= 1
        known = j >= 0 and photo[j] == photo[i] and keys[j] == keys[i]
        if not known and table[slots[i]] < 255:
            table[slots[i]] += 1


def _places(keys, rows, photo, needed):
    """The recurring places in one frame of reference, see `recurring_places`, among the features that the counts leave."""
    order = np.argsort(keys, kind="stable")
    keys, rows, photo = keys[order], rows[order], photo[order]
    bounds = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
    places = []
    for start, stop in itertools.pairwise(bounds):
        photos = np.unique(photo[start:stop])
        if len(photos) >= needed[keys[start] >> 20]:
            places.append((rows[start:stop], photos))
    return places
