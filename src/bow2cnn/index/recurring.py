"""Places of words: which words recur at the same place of many photos, more often than chance would have it."""

import itertools
from typing import NamedTuple

import numba
import numpy as np
from scipy.stats import poisson

# Where a mark is printed relative to: the corners, the middles of the edges and the centre of the frame.
_ANCHORS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5], [0.5, 0], [0.5, 1], [0, 0.5], [1, 0.5]])
_CELL = 1 / 80  # side of a cell as a fraction of the photo's longer side, or of the usual longer side in pixels
_CELLS = 80 * 60  # of a photo
_UNEVEN = 3.0  # features of one word lie so many times as dense as if they were spread over the whole photo
_CHANCE = 0.1  # recurring places that a word may have by chance
_TABLE = 1 << 28  # bytes of counters per frame of reference at most
_TABLES = 5  # counted at once


class _Frame(NamedTuple):
    """A frame of reference: an anchor (shares of width and height) and the side of a cell in every photo, float64 [n] in pixels."""

    anchor: np.ndarray
    cell: np.ndarray


def frames_of(size):
    """What the place of a mark is measured in: from every anchor in shares of the longer side and, where photos differ in it, in pixels.

    Args:
        size: int [n, 2], width and height of the photos.

    Returns:
        list of `_Frame`.
    """
    side = size.max(1).astype(np.float64)
    units = [side] if len(side) == 0 or (side == side[0]).all() else [side, np.full(len(side), np.median(side))]
    return [_Frame(anchor, _CELL * unit) for unit in units for anchor in _ANCHORS]


def recurring_places(forward, size, min_photos):
    """The places at which words recur.

    Memory: five tables of counters (at most 256 MB each), one piece of the forward file, and what recurs.

    Args:
        forward: `ForwardIndex` or `ForwardFiles`.
        size: int [n, 2], width and height of the photos.
        min_photos: a place of a word recurs when so many photos have the word there, or more where a word is so frequent that as many
            would by chance.

    Returns:
        per recurring place (of one word, in one frame of reference) its features, rows int64, and its photos, sorted int64.
    """
    frames = frames_of(size)
    needed = photos_needed(_occurrences(forward), min_photos, len(frames))
    rounds = [frames[first : first + _TABLES] for first in range(0, len(frames), _TABLES)]
    return [place for some in rounds for place in _recurring(forward, size, some, needed)]


def _recurring(forward, size, frames, needed):
    length = min(_TABLE, 1 << int(2 * forward.offset[-1] + 1).bit_length())
    tables = np.zeros((len(frames), length), np.uint8)
    for _, photo, piece in _numbered(forward, progress_label="watermarks: counting"):
        for frame, table in zip(frames, tables, strict=True):
            _count(_keys(piece, size, photo, frame), photo, table)
    found = [[] for _ in frames]
    for first, photo, piece in _numbered(forward, progress_label="watermarks: places"):
        least = np.minimum(needed[piece["word"]], 255)
        for frame, table, parts in zip(frames, tables, found, strict=True):
            keys = _keys(piece, size, photo, frame)
            rows = np.flatnonzero(table[_slots(keys, length)] >= least)
            parts.append((keys[rows], first + rows, photo[rows]))
    return [place for parts in found for place in _places(*map(np.concatenate, zip(*parts, strict=True)), needed)]


def _occurrences(forward):
    """How often every word is met, int64 [words]."""
    counts = np.zeros(0, np.int64)
    for piece in forward.pieces(progress_label="watermarks: words"):
        found = np.bincount(piece["word"], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts


def photos_needed(occurrences, min_photos, frames):
    """In how many photos a word has to be at a place so that it recurs there, int64 [words].

    A word that is met n times falls on a place of the frame a Poisson number of times; as many photos are asked for as leave less than a
    tenth of a place per word to chance.

    Args:
        occurrences: int64 [words], how often every word is met.
        frames: number of frames of reference that places are looked for in.
    """
    numbers, word = np.unique(occurrences, return_inverse=True)
    by_chance = poisson.isf(_CHANCE / (_CELLS * frames), _UNEVEN * numbers / _CELLS).astype(np.int64) + 1
    return np.maximum(min_photos, by_chance)[word]


def _numbered(forward, progress_label):
    """The first feature of every piece, the photo of each of its features, and the piece."""
    photos, features = 0, 0
    for piece in forward.pieces(progress_label):
        lengths = np.diff(piece["offset"])
        yield features, photos + np.repeat(np.arange(len(lengths)), lengths), piece
        photos, features = photos + len(lengths), features + len(piece["word"])


def _keys(forward, size, photo, frame):
    """(word, cell) of every feature as one number, int64 [N]; cells that are 1,024 apart share a number."""
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
    """Slots of a table of a power of two of slots (Fibonacci hashing: Knuth, The Art of Computer Programming, section 6.4)."""
    return (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(65 - int(length).bit_length())


def _count(keys, photo, table):
    """Count every key once per photo; a photo's features are sorted by word. What shares a slot is counted together, so a count is never
    too low.
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
    """Recurring places among the features in one frame of reference that a table has not ruled out."""
    order = np.argsort(keys, kind="stable")
    keys, rows, photo = keys[order], rows[order], photo[order]
    bounds = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
    places = []
    for start, stop in itertools.pairwise(bounds):
        photos = np.unique(photo[start:stop])
        if len(photos) >= needed[keys[start] >> 20]:
            places.append((rows[start:stop], photos))
    return places
