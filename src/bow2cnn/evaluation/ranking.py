"""Rankings by descriptors."""

from collections.abc import Iterator

import numpy as np

from bow2cnn.evaluation.errors import EvidenceError

_AT_ONCE = 256  # queries whose similarities to the whole database are in memory together


def rankings(queries: np.ndarray, database: np.ndarray, missing: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rank the database for every query, see `rank`.

    Args:
        queries: float [q, D].
        database: float [n, D], rows of length 1 at most.
        missing: bool [n], photos without a descriptor.

    Yields:
        per query int64 [n] indices and float32 [n] similarities.
    """
    for start in range(0, len(queries), _AT_ONCE):
        yield from zip(*rank(queries[start : start + _AT_ONCE], database, missing), strict=True)


def rank(queries: np.ndarray, database: np.ndarray, missing: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Database indices by falling similarity per query; ties by index, missing photos last.

    Args:
        queries: float [q, D].
        database: float [n, D], rows of length 1 at most.
        missing: bool [n], photos without a descriptor.

    Returns:
        int64 [q, n] indices and float32 [q, n] similarities, in the order of the ranking.

    Raises:
        EvidenceError: a descriptor is not a number, so the order would be that of the rows.
    """
    similarity = np.asarray(queries, np.float32) @ np.asarray(database, np.float32).T
    if missing is not None:
        similarity[:, missing] = -2.0
    if not np.isfinite(similarity).all():
        raise EvidenceError("a descriptor is not a number, so nothing can be ranked by it")
    order = np.argsort(-similarity, axis=1, kind="stable")
    return order, np.take_along_axis(similarity, order, 1)
