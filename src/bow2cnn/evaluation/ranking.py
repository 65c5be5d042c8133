"""Rankings by descriptors, with or without query expansion."""

import numpy as np


def rank(queries, database, missing=None):
    """Database indices by falling similarity per query; ties by index, missing photos last.

    Args:
        queries: float [q, D].
        database: float [n, D], rows of length 1.
        missing: bool [n], photos without a descriptor.

    Returns:
        int64 [q, n] indices and float32 [q, n] similarities, in the order of the ranking.
    """
    similarity = np.asarray(queries, np.float32) @ np.asarray(database, np.float32).T
    if missing is not None:
        similarity[:, missing] = -2.0
    order = np.argsort(-similarity, axis=1, kind="stable")
    return order, np.take_along_axis(similarity, order, 1)


def expand_queries(queries, database, count=10, alpha=3.0):
    """Alpha query expansion (Radenovic et al., TPAMI 2019): L2 of the query plus its neighbours weighted by similarity^alpha.

    Args:
        queries: float [q, D].
        database: float [n, D].
        count: neighbours.
        alpha: power; 0 is plain average query expansion.
    """
    order, similarity = rank(queries, database)
    near, weight = order[:, :count], np.maximum(similarity[:, :count], 0.0) ** alpha
    expanded = np.asarray(queries, np.float32) + np.einsum("qk,qkd->qd", weight, np.asarray(database, np.float32)[near])
    return expanded / np.maximum(np.linalg.norm(expanded, axis=1, keepdims=True), 1e-12)
