"""The mined pairs as training sees them."""

import logging
from typing import NamedTuple

import numpy as np

from bow2cnn import artefact
from bow2cnn.evaluation.validation import build_validation
from bow2cnn.pairs.doubt import related
from bow2cnn.training.errors import TrainingError

_LOG = logging.getLogger("bow2cnn")
TRAINING_SIDE = 1


class Pairs(NamedTuple):
    """Attributes:
    group: int64 [n], the place of a photo; one of its own outside every model; -1 not to be used.
    cluster: int64 [n].
    outsider: bool [n], photos outside every model that may be used.
    weak: int64 [k, 2], outsiders and the photos with which the teacher finds something in common.
    doubt: int64 [d, 2], verified pairs that were cut: their photos may show the same place (see `pairs.doubt.related`).
    query: int64 [q], training queries with at least one candidate positive.
    pools: per query a dict of arrays `photo`, `shared`, `overlap`, `scale`, `distance`, `inliers`.
    negative: int64 rows that may be negatives.
    validation: `evaluation.validation.Validation`.
    """

    group: np.ndarray
    cluster: np.ndarray
    outsider: np.ndarray
    weak: np.ndarray
    doubt: np.ndarray
    query: np.ndarray
    pools: list
    negative: np.ndarray
    validation: tuple


def read_pairs(path, outsiders, missing):
    """Read a `pairs` artefact.

    Args:
        path: the artefact.
        outsiders: whether photos outside every model may be negatives.
        missing: bool [n], photos that cannot be decoded and are left out.

    Raises:
        TrainingError: nothing to train on.
    """
    arrays = artefact.read(path, "pairs")
    group = np.where(missing, -1, arrays["group"]).astype(np.int64)
    arrays["group"] = group
    cluster = arrays["cluster"].astype(np.int64)
    training = (arrays["side"] == TRAINING_SIDE) & (group >= 0)
    queries, pools, given, crossing = _queries(arrays, training)
    if crossing:
        told = f"{crossing} of {given} pairs of a training query and a positive are of two places (of a database: two clusters)"
        if not len(queries):
            raise TrainingError(f"{path}: {told}, but a positive shows the query's place; nothing to train on")
        _LOG.warning("training: %s and are left out", told)
    doubt = arrays["doubt"].astype(np.int64)
    outsider = (group >= 0) & (cluster < 0)
    negative = np.flatnonzero(training if outsiders else training & ~outsider)
    if all(related(query, negative, group, cluster, doubt).all() for query in queries):
        raise TrainingError(f"{path}: no training query with positives and photos that surely show another place; nothing to train on")
    weak, validation = arrays["weak"].astype(np.int64), build_validation(arrays, missing)
    return Pairs(group, cluster, outsider, weak, doubt, queries, pools, negative, validation)


def _queries(arrays, training):
    """Queries and their pools; how many usable pairs there are, and how many of them are left out because they are of two places."""
    given = crossing = 0
    names = [name for name in arrays if name.startswith("pool/")]
    queries, pools = [], []
    for number, query in enumerate(arrays["query"].astype(np.int64)):
        rows = slice(*arrays["pool_offset"][number : number + 2])
        pool = {name.removeprefix("pool/"): arrays[name][rows] for name in names}
        usable = training[pool["photo"]] & (pool["photo"] != query) & training[query]
        same = arrays["group"][pool["photo"]] == arrays["group"][query]
        given, crossing = given + np.count_nonzero(usable), crossing + np.count_nonzero(usable & ~same)
        usable &= same
        if usable.any():
            queries.append(query)
            pools.append({name: values[usable] for name, values in pool.items()})
    return np.array(queries, np.int64), pools, given, crossing
