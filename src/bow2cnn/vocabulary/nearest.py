"""Exact nearest neighbours among descriptors. The result depends neither on the processor nor on the number of threads."""

import numba
import numpy as np
from numpy.typing import NDArray

from bow2cnn.features.distances import Products

NONE = np.iinfo(np.int32).max  # larger than the squared distance of any two descriptors
_LANES = 64


def nearest(descriptors: np.ndarray, candidates: np.ndarray, count: int = 1) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the nearest candidates of every descriptor, nearest first; of equally near ones the first in `candidates`.

    Args:
        descriptors, candidates: uint8 [n, D] and [m, D], D at most 128.
        count: number of candidates to find.

    Returns:
        rows of the candidates int32 [n, count], and their squared distances int32 [n, count], which are `NONE` where there are fewer
        candidates.
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


# Distances are computed without the descriptor's own square, which is the same for all of its candidates. For most blocks of a row only the
# smallest distance is needed, to see that no candidate is near enough; that loop is vectorised.
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
