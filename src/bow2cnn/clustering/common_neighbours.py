"""Pairs of photos that match the same other photos but have not been compared: most of them show the same thing.

A query compares photos whose visual words agree in one geometry. Two photos of one facade at noon and at night may have too few such
words, and yet match many photos of the hours between. The graph then has an open triangle (triadic closure in the theory of networks).
"""

import numpy as np
from scipy.sparse import coo_array, csr_array

_BLOCK = 100  # photos whose neighbours are counted at once; bounds the memory
_MIN_COMMON = 2  # one common neighbour may be a wrong match


def open_triangles(pairs: np.ndarray, refused: np.ndarray, photos: int, limit: int) -> list[tuple[int, int]]:
    """Pairs of photos with at least two common neighbours that are neither joined nor refused.

    Args:
        pairs, refused: joined and refused pairs, int [m, 2].
        photos: number of photos.
        limit: maximum number of pairs that each photo proposes: those with the largest share of common neighbours among the neighbours of
            either (Jaccard).

    Returns:
        (first, second) with first < second, sorted.
    """
    joined, known = _symmetric(pairs, photos), _symmetric(np.concatenate([pairs, refused]), photos)
    degree = joined.sum(1)
    found: set[tuple[int, int]] = set()
    for start in range(0, photos, _BLOCK):
        block = slice(start, start + _BLOCK)
        common = (joined[block] @ joined).tocsr()
        common = (common - common.multiply(known[block])).tocoo()
        enough = (common.data >= _MIN_COMMON) & (common.row + start != common.col)
        row, other, count = common.row[enough] + start, common.col[enough], common.data[enough]
        share = count / (degree[row] + degree[other] - count)
        order = np.lexsort((other, -share, row))
        row, other = row[order], other[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        best = np.sort(np.column_stack([row, other])[rank < limit], 1)
        found.update(map(tuple, best.tolist()))
    return sorted(found)


def _symmetric(pairs: np.ndarray, photos: int) -> csr_array:
    """A matrix with 1 at both places of each pair, int32 [photos, photos]."""
    both = np.concatenate([pairs, pairs[:, ::-1]]).T
    return coo_array((np.ones(both.shape[1], np.int32), both), shape=(photos, photos)).tocsr()
