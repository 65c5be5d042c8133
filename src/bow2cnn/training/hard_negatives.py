"""Chooses the negatives of every query (Radenovic, Tolias, Chum, TPAMI 2018; talk, slide 14). Ties are broken by row."""

import numpy as np

from bow2cnn.pairs.exclusions import NegativeRule

_CHUNK = 256  # queries at a time; it bounds the size of the similarity matrix
HARD = {"diverse": True, "naive": False}  # ways that compare descriptors, and whether a place gives at most one negative


def mine_negatives(
    descriptors: np.ndarray, queries: np.ndarray, pool: np.ndarray, rule: NegativeRule, count: int, mining: str
) -> tuple[np.ndarray, np.ndarray]:
    """The hardest negatives of each query: the most similar photos of other places.

    Args:
        descriptors: float32 [n, D], by collection row.
        queries: int64 [q], rows.
        pool: int64 [p], rows of the photos among which negatives are mined.
        rule: which photos of the pool may be negatives of which query.
        count: number of negatives per query.
        mining: `diverse`: each place gives at most one negative (N2 in the paper); `naive`: the nearest photos (N1).

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
            picked = _hardest(values, rule.allowed(query, pool), rule.place[pool], count, HARD[mining])
            chosen[number, : len(picked)] = pool[picked]
            similarity[number, : len(picked)] = values[picked]
    return chosen, similarity


def draw_negatives(
    queries: np.ndarray, pool: np.ndarray, rule: NegativeRule, count: int, generator: np.random.Generator | None
) -> np.ndarray:
    """Negatives that no descriptor chooses: random ones, or all of a pool.

    Args:
        queries, pool, rule: see `mine_negatives`.
        count: number of negatives per query; not used for all of the pool.
        generator: source of the random numbers; None for all of the pool.

    Returns:
        int64 [q, k], rows; -1 if a query has fewer negatives.
    """
    pool = np.sort(pool)
    chosen = np.full((len(queries), count if generator else len(pool)), -1, np.int64)
    for line, query in enumerate(queries.tolist()):
        allowed = pool[rule.allowed(query, pool)]
        picked = generator.permutation(allowed)[:count] if generator else allowed
        chosen[line, : len(picked)] = picked
    return chosen


def _hardest(values, allowed, places, count, one_per_place):
    order = np.argsort(-values, kind="stable")
    order = order[allowed[order]]
    if one_per_place:
        first = np.unique(places[order], return_index=True)[1]
        order = order[np.sort(first)]
    return order[:count]
