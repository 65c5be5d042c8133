"""Hard negatives: the most similar photos of other places (TPAMI 2018 section 3.3; talk slide 14). Ties are broken by row."""

import numpy as np

from bow2cnn.pairs.doubt import related

_CHUNK = 256  # queries or outsiders at a time, to bound the matrix of similarities


def mine_negatives(descriptors, queries, pool, group, cluster, count, one_negative_per_model, doubtful=None, doubt=None):
    """The hardest negatives of each query.

    Photos of the query's own group never count, nor those of its cluster: the teacher found a chain of verified matches between
    them, so they may show the same place although no model joins them. Nor do those that a doubtful pair joins to these (see `related`).

    Args:
        descriptors: float32 [n, D] by collection row.
        queries: int64 [q] rows.
        pool: int64 rows that may be negatives.
        group, cluster: int64 [n].
        count: negatives per query.
        one_negative_per_model: at most one per group (N2), else simply the nearest (N1).
        doubtful: int64 [n, k], groups that a photo may belong to after all (see `doubtful_groups`), or None.
        doubt: int64 [d, 2], pairs of photos that may show the same place, or None.

    Returns:
        int64 [q, count] rows and float32 [q, count] similarities, hardest first; -1 and NaN where there are not enough.
    """
    pool = np.sort(pool)
    doubt = np.zeros((0, 2), np.int64) if doubt is None else doubt
    chosen = np.full((len(queries), count), -1, np.int64)
    similarity = np.full((len(queries), count), np.nan, np.float32)
    for start in range(0, len(queries), _CHUNK):
        rows = queries[start : start + _CHUNK]
        products = descriptors[rows] @ descriptors[pool].T
        for number, query in enumerate(rows, start=start):
            values = products[number - start]
            allowed = ~related(query, pool, group, cluster, doubt)
            if doubtful is not None:
                allowed &= ~_in_doubt(query, pool, group, doubtful)
            picked = _hardest(values, allowed, group[pool], count, one_negative_per_model)
            chosen[number, : len(picked)] = pool[picked]
            similarity[number, : len(picked)] = values[picked]
    return chosen, similarity


def doubtful_groups(descriptors, group, outsider, weak, count=2):
    """The groups that a photo outside every model may belong to after all.

    Those with whose photos the teacher finds something in common, although too little to join them. But geometry can vouch for a pair
    that matches, never for one that does not: another side of the building, or the same at night, shares no feature with any photo of
    the model. So the few nearest models by the starting network are in doubt too, and the photo is a negative for the others only.

    Args:
        descriptors: float32 [n, D] by the starting network.
        group: int64 [n], -1 for photos not to be used; outsider: bool [n].
        weak: int64 [k, 2], pairs of outsiders and photos with which the teacher finds something in common.
        count: nearest groups in doubt.

    Returns:
        int64 [n, c], -1 where there is none, as for the photos of models. Another outsider is a group too.
    """
    modelled = (group >= 0) & ~outsider
    found = weak[outsider[weak[:, 0]] & (group[weak[:, 1]] >= 0)]
    pairs = np.unique(np.stack([found[:, 0], group[found[:, 1]]], 1), axis=0)
    first = np.searchsorted(pairs[:, 0], pairs[:, 0])
    place = np.arange(len(pairs)) - first
    doubtful = np.full((len(group), count + place.max(initial=-1) + 1), -1, np.int64)
    doubtful[pairs[:, 0], count + place] = pairs[:, 1]
    members = np.flatnonzero(modelled)
    members = members[np.argsort(group[members], kind="stable")]
    groups, first = np.unique(group[members], return_index=True)
    outsiders, models = np.flatnonzero(outsider), descriptors[members]
    for start in range(0, len(outsiders) if len(groups) else 0, _CHUNK):
        rows = outsiders[start : start + _CHUNK]
        nearest = np.maximum.reduceat(descriptors[rows] @ models.T, first, axis=1)
        order = np.argsort(-nearest, axis=1, kind="stable")[:, :count]
        doubtful[rows, : order.shape[1]] = groups[order]
    return doubtful


def _in_doubt(query, pool, group, doubtful):
    """bool [p], photos of a pool that may show what the query shows: one may belong to the group of the other, or both to the same."""
    own = doubtful[query][doubtful[query] >= 0]
    return (doubtful[pool] == group[query]).any(1) | np.isin(group[pool], own) | np.isin(doubtful[pool], own).any(1)


def _hardest(values, allowed, groups, count, one_negative_per_model):
    order = np.argsort(-values, kind="stable")
    order = order[allowed[order]]
    if one_negative_per_model:
        first = np.unique(groups[order], return_index=True)[1]
        order = order[np.sort(first)]
    return order[:count]
