"""Reads the pairs of a source and selects those that training can use."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.benchmarks.truth import Truth, read_truth
from bow2cnn.pairs.exclusions import NegativeRule, read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.split.sides import TRAIN
from bow2cnn.training.errors import TrainingError

_LOG = logging.getLogger("bow2cnn")


class Pairs(NamedTuple):
    """The pairs of a source that training can use.

    Attributes:
        rule: which photos may be negatives of which query.
        query: int64 [q], rows of the training queries that have a candidate for the positive.
        pools: for each query its candidates, a dict of arrays [k]: `photo` (rows), and the evidence that the source has
            (`bow2cnn.pairs.positives.EVIDENCE`).
        negative: int64 [m], rows of the photos that may be negatives.
        validation: the truth of validation.
        source: name of the source of the pairs.
    """

    rule: NegativeRule
    query: np.ndarray
    pools: list[dict[str, np.ndarray]]
    negative: np.ndarray
    validation: Truth
    source: str


def read_pairs(
    positives: str | Path,
    negatives: str | Path,
    validation: str | Path,
    background: bool,
    missing: np.ndarray,
    unmatched: bool = False,
) -> Pairs:
    """Read the pairs of a source.

    Args:
        positives, negatives, validation: artefacts.
        background: whether background photos (outside every model) may be negatives.
        missing: bool [n], photos that cannot be decoded and are left out.
        unmatched: see `read_positives`.

    Raises:
        ArtefactError: a file cannot be used.
        TrainingError: there is nothing to train on.
    """
    rule, found = read_negatives(negatives).without(missing), read_positives(positives, unmatched)
    query, pools, total, crossing = _queries(found, rule)
    if crossing:
        fact = f"{crossing} of {total} pairs of a training query and a positive join two places (in a database: two clusters)"
        if not len(query):
            raise TrainingError(f"{positives}: {fact}, but a positive must show the place of its query; nothing to train on")
        _LOG.warning("training: %s and are left out", fact)
    negative = rule.rows(TRAIN)
    negative = negative if background else negative[~rule.background[negative]]
    if not any(rule.allowed(row, negative).any() for row in query.tolist()):
        raise TrainingError(
            f"{negatives}: no training query with a positive has photos that surely show another place; nothing to train on"
        )
    return Pairs(rule, query, pools, negative, read_truth(validation).without(missing), found.source)


def _queries(found, rule):
    """Queries and their pools; the number of usable pairs, and the number of those that are left out because they join two places."""
    total = crossing = 0
    training = rule.used & (rule.side == TRAIN)
    queries, pools = [], []
    for query, pool in zip(found.query.tolist(), found.pools, strict=True):
        photo = pool["photo"]
        usable = training[photo] & (photo != query) & training[query]
        same = rule.place[photo] == rule.place[query]
        total, crossing = total + np.count_nonzero(usable), crossing + np.count_nonzero(usable & ~same)
        usable &= same
        if usable.any():
            queries.append(query)
            pools.append({name: values[usable] for name, values in pool.items()})
    return np.array(queries, np.int64), pools, total, crossing
