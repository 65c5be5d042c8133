"""The pairs as training sees them."""

import logging
from typing import NamedTuple

import numpy as np

from bow2cnn.benchmarks.truth import Truth, read_truth
from bow2cnn.pairs.negatives import NegativeRule, read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.split.sides import TRAIN
from bow2cnn.training.errors import TrainingError

_LOG = logging.getLogger("bow2cnn")


class Pairs(NamedTuple):
    """Attributes:
    rule: who may be a negative of whom.
    query: int64 [q], training queries with at least one candidate positive.
    pools: per query a dict of arrays: `photo`, and what the source knows of each pair (`bow2cnn.pairs.positives.EVIDENCE`).
    negative: int64 rows that may be negatives.
    validation: the truth of validation.
    source: of the pairs, by name.
    """

    rule: NegativeRule
    query: np.ndarray
    pools: list
    negative: np.ndarray
    validation: Truth
    source: str


def read_pairs(positives, negatives, validation, background, missing):
    """Read the pairs of a source.

    Args:
        positives, negatives, validation: artefacts.
        background: whether background photos (outside every model) may be negatives.
        missing: bool [n], photos that cannot be decoded and are left out.

    Raises:
        TrainingError: nothing to train on.
    """
    rule, found = read_negatives(negatives).without(missing), read_positives(positives)
    query, pools, given, crossing = _queries(found, rule)
    if crossing:
        told = f"{crossing} of {given} pairs of a training query and a positive are of two places (of a database: two clusters)"
        if not len(query):
            raise TrainingError(f"{positives}: {told}, but a positive shows the query's place; nothing to train on")
        _LOG.warning("training: %s and are left out", told)
    negative = rule.rows(TRAIN)
    negative = negative if background else negative[~rule.background[negative]]
    if not any(rule.allowed(row, negative).any() for row in query.tolist()):
        raise TrainingError(f"{negatives}: no training query with positives and photos that surely show another place; nothing to train on")
    return Pairs(rule, query, pools, negative, read_truth(validation).without(missing), found.source)


def _queries(found, rule):
    """Queries and their pools; how many usable pairs there are, and how many of them are left out because they are of two places."""
    given = crossing = 0
    training = rule.used & (rule.side == TRAIN)
    queries, pools = [], []
    for query, pool in zip(found.query.tolist(), found.pools, strict=True):
        photo = pool["photo"]
        usable = training[photo] & (photo != query) & training[query]
        same = rule.place[photo] == rule.place[query]
        given, crossing = given + np.count_nonzero(usable), crossing + np.count_nonzero(usable & ~same)
        usable &= same
        if usable.any():
            queries.append(query)
            pools.append({name: values[usable] for name, values in pool.items()})
    return np.array(queries, np.int64), pools, given, crossing
