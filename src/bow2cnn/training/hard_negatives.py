"""Mines hard negatives: the most similar photos of other places (Radenovic, Tolias, Chum, TPAMI 2018). Ties are broken by row."""

import numpy as np

from bow2cnn.pairs.exclusions import NegativeRule

_CHUNK = 256  # queries at a time; it bounds the size of the similarity matrix


def mine_negatives(
    descriptors: np.ndarray, queries: np.ndarray, pool: np.ndarray, rule: NegativeRule, count: int, one_negative_per_model: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The hardest negatives of each query.

    Args:
        descriptors: float32 [n, D], by collection row.
        queries: int64 [q], rows.
        pool: int64 [p], rows of the photos among which negatives are mined.
        rule: which photos of the pool may be negatives of which query.
        count: number of negatives per query.
        one_negative_per_model: whether each place gives at most one negative (N2 in the paper); else the nearest photos are taken (N1).

    Returns:
        int64 [q, count] rows and float32 [q, count] similarities, hardest first; -1 and NaN if a query has fewer negatives.
    """
    pool = np.sort(pool)
    chosen = np.full((len(queries), count), -1, np.int64)
    similarity = np.full((len(queries), count), np.nan, np.float32)
    for start in range(0, len(queries), _CHUNK):
        rows = queries[start : start + _CHUNK]
        products = descriptors[rows] @ descriptors[pool].T
        for number, query in enumerate(rows.tolist(), start=start):
            values = products[number - start]
            picked = _hardest(values, rule.allowed(query, pool), rule.place[pool], count, one_negative_per_model)
            chosen[number, : len(picked)] = pool[picked]
            similarity[number, : len(picked)] = values[picked]
    return chosen, similarity


def _hardest(values, allowed, places, count, one_negative_per_model):
    order = np.argsort(-values, kind="stable")
    order = order[allowed[order]]
    if one_negative_per_model:
        first = np.unique(places[order], return_index=True)[1]
        order = order[np.sort(first)]
    return order[:count]
