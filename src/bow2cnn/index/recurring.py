"""Places of words: which words recur at the same place of many photos, more often than chance would have it."""

import itertools

import numba
import numpy as np
from scipy.stats import poisson

# Where a mark is printed relative to: the corners and the centre of the frame.
_ANCHORS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]])
_CELL = 1 / 80  # side of a cell as a fraction of the photo's longer side
_CELLS = 80 * 60  # of a photo
_UNEVEN = 3.0  # features of one word lie so many times as dense as if they were spread over the whole photo
_CHANCE = 0.1  # recurring places that a word may have by chance
_TABLE = 1 << 28  # bytes of counters per anchor at most


def recurring_places(forward, size, min_photos):
    """The places at which words recur.

    Memory: five tables of counters (at most 256 MB each), one piece of the forward file, and what recurs.

    Args:
        forward: `Forward` or `ForwardFiles`.
        size: int [n, 2], width and height of the photos.
        min_photos: a place of a word recurs when so many photos have the word there, or more where a word is so frequent that as many
            would by chance.

    Returns:
        per recurring place (of one word, relative to one anchor) its features, rows int64, and its photos, sorted int64.
    """
    needed = photos_needed(_occurrences(forward), min_photos)
    length = min(_TABLE, 1 << int(2 * forward.offset[-1] + 1).bit_length())
    tables = np.zeros((len(_ANCHORS), length), np.uint8)
    for _, photo, piece in _numbered(forward, progress_label="marks: counting"):
        for anchor, table in zip(_ANCHORS, tables, strict=True):
            _count(_keys(piece, size, photo, anchor), photo, table)
    found = [[] for _ in _ANCHORS]
    for first, photo, piece in _numbered(forward, progress_label="marks: places"):
        least = np.minimum(needed[piece["word"]], 255)
        for anchor, table, parts in zip(_ANCHORS, tables, found, strict=True):
            keys = _keys(piece, size, photo, anchor)
            rows = np.flatnonzero(table[_slots(keys, length)] >= least)
            parts.append((keys[rows], first + rows, photo[rows]))
    return [place for parts in found for place in _places(*map(np.concatenate, zip(*parts, strict=True)), needed)]


def _occurrences(forward):
    """How often every word is met, int64 [words]."""
    counts = np.zeros(0, np.int64)
    for piece in forward.pieces(progress_label="marks: words"):
        found = np.bincount(piece["word"], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts


def photos_needed(occurrences, min_photos):
    """In how many photos a word has to be at a place so that it recurs there, int64 [words].

    A word that is met n times falls on a place of the frame a Poisson number of times; as many photos are asked for as leave less than a
    tenth of a place per word to chance.

    Args:
        occurrences: int64 [words], how often every word is met.
    """
    numbers, word = np.unique(occurrences, return_inverse=True)
    by_chance = poisson.isf(_CHANCE / (_CELLS * len(_ANCHORS)), _UNEVEN * numbers / _CELLS).astype(np.int64) + 1
    return np.maximum(min_photos, by_chance)[word]


def _numbered(forward, progress_label):
    """The first feature of every piece, the photo of each of its features, and the piece."""
    photos, features = 0, 0
    for piece in forward.pieces(progress_label):
        lengths = np.diff(piece["offset"])
        yield features, photos + np.repeat(np.arange(len(lengths)), lengths), piece
        photos, features = photos + len(lengths), features + len(piece["word"])


def _keys(forward, size, photo, anchor):
    """(word, cell) of every feature as one number, int64 [N]."""
    side = size.max(1)[photo][:, None]
    cell = np.floor((forward["keypoint"][:, :2] - anchor * size[photo]) / side / _CELL).astype(np.int64) + 512
    return (forward["word"].astype(np.int64) << 20) | (cell[:, 0] << 10) | cell[:, 1]


def _slots(keys, length):
    """Slots of a table of a power of two of slots (Fibonacci hashing: Knuth, The Art of Computer Programming, section 6.4)."""
    return (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(65 - int(length).bit_length())


def _count(keys, photo, table):
    """Count every key once per photo; the photos are sorted. What shares a slot is counted together, so a count is never too low."""
    order = np.lexsort((keys, photo))
    keys, photo = keys[order], photo[order]
    once = np.ones(len(keys), bool)
    once[1:] = (np.diff(keys) != 0) | (np.diff(photo) != 0)
    _add(_slots(keys[once], len(table)), table)


@numba.njit(cache=True, nogil=True)
def _add(slots, table):
    for slot in slots:
        if table[slot] < 255:
            table[slot] += 1


def _places(keys, rows, photo, needed):
    """Recurring places among the features of one anchor that a table has not ruled out."""
    order = np.argsort(keys, kind="stable")
    keys, rows, photo = keys[order], rows[order], photo[order]
    bounds = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
    places = []
    for start, stop in itertools.pairwise(bounds):
        photos = np.unique(photo[start:stop])
        if len(photos) >= needed[keys[start] >> 20]:
            places.append((rows[start:stop], photos))
    return places
