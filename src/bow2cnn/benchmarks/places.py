"""Which queries ask for the same place."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def find_places(queries: np.ndarray, shown: list) -> np.ndarray:
    """Number of every query's place, int64 [q]: queries that share a photo, or a chain of them does, ask for one place.

    Args:
        queries: int [q], the photo of every query.
        shown: per query int photos of what it shows, rows of the same collection.
    """
    queries = np.asarray(queries, np.int64)
    first = np.repeat(queries, [len(photos) for photos in shown])
    second = np.concatenate([np.zeros(0, np.int64), *shown]).astype(np.int64)
    size = 1 + max(queries.max(initial=-1), second.max(initial=-1))
    _, component = connected_components(coo_matrix((np.ones(len(first), bool), (first, second)), (size, size)), directed=False)
    return np.unique(component[queries], return_inverse=True)[1]
