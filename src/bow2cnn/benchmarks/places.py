"""Find the queries that show the same place."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def find_places(queries: np.ndarray, shown: Sequence[np.ndarray]) -> np.ndarray:
    """Number the places of queries. Two queries have the same place if they share a right photo, or are linked by a chain of such queries.

    Args:
        queries: int [q], row of every query's photo.
        shown: per query int [n], rows of its right photos, in the same collection.

    Returns:
        Place of every query, int64 [q], from 0.
    """
    queries = np.asarray(queries, np.int64)
    first = np.repeat(queries, [len(photos) for photos in shown])
    second = np.concatenate([np.zeros(0, np.int64), *shown]).astype(np.int64)
    size = 1 + max(queries.max(initial=-1), second.max(initial=-1))
    _, component = connected_components(coo_matrix((np.ones(len(first), bool), (first, second)), (size, size)), directed=False)
    return np.unique(component[queries], return_inverse=True)[1]
