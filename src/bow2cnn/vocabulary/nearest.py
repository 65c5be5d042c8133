"""Nearest of some descriptors, exactly, whatever the processor and however the work is dealt to threads."""

import numba
import numpy as np

from bow2cnn.features.distances import Products

NONE = np.iinfo(np.int32).max  # farther than any two descriptors
_LANES = 64


def nearest(descriptors, candidates, count=1):
    """The nearest candidates of every descriptor, nearest first, the first of equals.

    Args:
        descriptors, candidates: uint8 [n, D], [m, D], D at most 128.

    Returns:
        rows int32 [n, count] of the candidates and their squared distances, int32 [n, count]; `NONE` where there are fewer candidates.
    """
    rows, distances = np.zeros((len(descriptors), count), np.int32), np.full((len(descriptors), count), NONE, np.int32)
    if len(descriptors) and len(candidates):
        products = Products(descriptors, candidates)
        squares = products.squares(1).astype(np.int32)
        for start, block in products:
            part = slice(start, start + len(block))
            _note_nearest(block, squares, rows[part], distances[part])
        np.add(distances, products.squares(0).astype(np.int32)[:, None], out=distances, where=distances != NONE)
    return rows, distances


# Distances less the descriptor's own square, which is the same for all of its candidates.
# Most of a row is only looked at for whether its smallest distance is small enough, which can be vectorised.
@numba.njit(cache=True, nogil=True)
def _note_nearest(products, squares, rows, distances):
    found = np.empty(len(squares), np.int32)
    for i in range(len(products)):
        for start in range(0, len(squares), _LANES):
            stop, smallest = min(start + _LANES, len(squares)), np.int32(NONE)
            for j in range(start, stop):
                found[j] = squares[j] - np.int32(2) * np.int32(products[i, j])
                smallest = min(smallest, found[j])
            if smallest < distances[i, -1]:
                _insert(found, start, stop, rows[i], distances[i])


@numba.njit(cache=True, nogil=True)
def _insert(found, start, stop, rows, distances):
    for j in range(start, stop):
        if found[j] < distances[-1]:
            k = len(distances) - 1
            while k > 0 and found[j] < distances[k - 1]:
                distances[k] = distances[k - 1]
                rows[k] = rows[k - 1]
                k -= 1
            distances[k] = found[j]
            rows[k] = j
