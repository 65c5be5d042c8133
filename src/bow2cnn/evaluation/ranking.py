"""Rankings by descriptors."""

import numpy as np

from bow2cnn.evaluation.errors import EvidenceError

_AT_ONCE = 256  # queries whose similarities to the whole database are in memory together


def rankings(queries, database, missing=None):
    """What `rank` finds, query by query: pairs of int64 [n] and float32 [n]."""
    for start in range(0, len(queries), _AT_ONCE):
        yield from zip(*rank(queries[start : start + _AT_ONCE], database, missing), strict=True)


def rank(queries, database, missing=None):
    """Database indices by falling similarity per query; ties by index, missing photos last.

    Args:
        queries: float [q, D].
        database: float [n, D], rows of length 1.
        missing: bool [n], photos without a descriptor.

    Returns:
        int64 [q, n] indices and float32 [q, n] similarities, in the order of the ranking.

    Raises:
        EvidenceError: a descriptor is no number: the order would be that of the rows.
    """
    similarity = np.asarray(queries, np.float32) @ np.asarray(database, np.float32).T
    if missing is not None:
        similarity[:, missing] = -2.0
    if not np.isfinite(similarity).all():
        raise EvidenceError("a descriptor is no number, so nothing can be ranked by it")
    order = np.argsort(-similarity, axis=1, kind="stable")
    return order, np.take_along_axis(similarity, order, 1)
