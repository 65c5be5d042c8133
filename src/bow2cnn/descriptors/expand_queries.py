"""Query expansion: a query is joined with the photos that it finds; `bow2cnn.retrieval.query_expansion` does this for visual words."""

from collections.abc import Mapping

import numpy as np

from bow2cnn.descriptors.apply_whitening import unit

_AT_ONCE = 256  # queries whose similarities to the whole database are in memory together


def expanded(queries: np.ndarray, database: np.ndarray, settings: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The step after the descriptor, see `bow2cnn.descriptors.apply_steps`: alpha-weighted query expansion (Radenovic, Tolias, Chum, TPAMI
    2018),

        q' = L2(q + sum over the first n photos x of max(q.x, 0)^alpha x).

    With alpha = 0 it is average query expansion. A photo without a descriptor adds nothing. The step does not know which photos are junk:
    where the query's own photo is in the database, it adds the query once more, as it does in the paper's benchmarks.

    Args:
        queries: float32 [q, D].
        database: float32 [n, D].
        settings: `expansion_photos`, the number of photos n; `expansion_alpha`, the exponent.

    Returns:
        queries float32 [q, D], and the database as it is.
    """
    count, alpha = int(settings["expansion_photos"]), float(settings["expansion_alpha"])
    parts = [_expand(queries[start : start + _AT_ONCE], database, count, alpha) for start in range(0, len(queries), _AT_ONCE)]
    return np.concatenate([queries[:0], *parts]), database


def _expand(queries, database, count, alpha):
    similarity = np.maximum(queries @ database.T, 0)
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    weights = np.zeros_like(similarity)
    np.put_along_axis(weights, best, np.take_along_axis(similarity, best, 1) ** np.float32(alpha), 1)
    return unit((queries + weights @ database) * queries.any(1, keepdims=True))
