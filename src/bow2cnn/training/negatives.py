"""Hard negatives: the most similar photos of other places (TPAMI 2018 section 3.3; talk slide 14). Ties are broken by row."""

import numpy as np

_CHUNK = 256  # queries at a time, to bound the matrix of similarities


def mine_negatives(descriptors, queries, pool, rule, count, one_negative_per_model):
    """The hardest negatives of each query.

    Args:
        descriptors: float32 [n, D] by collection row.
        queries: int64 [q] rows.
        pool: int64 rows that may be negatives.
        rule: `NegativeRule`, which photos of the pool may be negatives of which query.
        count: negatives per query.
        one_negative_per_model: at most one per place (N2), else simply the nearest (N1).

    Returns:
        int64 [q, count] rows and float32 [q, count] similarities, hardest first; -1 and NaN where there are not enough.
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
