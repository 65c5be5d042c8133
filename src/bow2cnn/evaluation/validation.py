"""The ground truth that the teacher gives: no label, only the models that it found.

Queries come from the validation models. Positives are the photos with enough common 3D points. Junk are those that may show the query's
place all the same: the others of its place and of its cluster, those that a doubtful pair joins to these, and those that the teacher
matches weakly with one of its place. The other photos of the collection are negatives, those of training models and those outside every
model too: with few models the validation photos alone would make retrieval too easy to tell two networks apart. Photos that must not be
used (group -1) take no part: nobody knows what they show.
"""

from typing import NamedTuple

import numpy as np

from bow2cnn import artefact
from bow2cnn.evaluation.ranking import rankings
from bow2cnn.evaluation.scores import score_rankings
from bow2cnn.pairs.doubt import related

_ARRAYS = ["group", "side", "cluster", "weak", "doubt", "query", "positive_offset", "positive"]
VALIDATION_SIDE = 2


class Validation(NamedTuple):
    """`query` int64 [q] collection rows; `truth` per query (positives, junk) as int64 rows of the database; `database` int64 rows."""

    query: np.ndarray
    truth: list
    database: np.ndarray


def validation_rankings(validation, descriptors):
    """Collection rows by falling similarity, the query itself left out: one int64 array after the other, for every validation query.

    Args:
        descriptors: float [n, D] of the whole collection; those of zeros come last.
    """
    database, described = validation.database, descriptors[validation.database]
    found = rankings(descriptors[validation.query], described, ~described.any(1))
    for (order, _), query in zip(found, validation.query, strict=True):
        yield database[order][database[order] != query]


def validation_scores(validation, descriptors):
    """AP of every validation query, float [q], 0 to 100; 0 for one whose descriptor is zero, which finds nothing."""
    scores = score_rankings(validation_rankings(validation, descriptors), validation.truth)["mAP"]
    return np.where(descriptors[validation.query].any(1), scores, 0.0)


def validation_map(validation, descriptors):
    """mAP on the validation queries, 0 to 100; None where there is nothing to validate on."""
    return float(validation_scores(validation, descriptors).mean()) if len(validation.query) else None


def read_validation(pairs, missing=None):
    """The validation ground truth of a `pairs` artefact; `missing` as for `build_validation`."""
    return build_validation(artefact.read(pairs, "pairs", _ARRAYS), missing)


def build_validation(arrays, missing=None):
    """The same from the arrays of the artefact; photos that are `missing`, bool [n], take no part."""
    group, side, offset = np.asarray(arrays["group"], np.int64), np.asarray(arrays["side"]), np.asarray(arrays["positive_offset"])
    usable = group >= 0 if missing is None else (group >= 0) & ~missing
    database = np.flatnonzero(usable)
    queries, truth = [], []
    for number, query in enumerate(np.asarray(arrays["query"], np.int64)):
        positives = np.unique(np.asarray(arrays["positive"], np.int64)[offset[number] : offset[number + 1]])
        positives = positives[usable[positives] & (positives != query)]
        if side[query] != VALIDATION_SIDE or not usable[query] or len(positives) == 0:
            continue
        queries.append(query)
        truth.append((positives, np.setdiff1d(_related(arrays, query, database), positives)))
    return Validation(np.array(queries, np.int64), truth, database)


def _related(arrays, query, database):
    """Photos of the database that may show the place of a query, int64 rows."""
    group, cluster, weak, doubt = (np.asarray(arrays[name]) for name in ("group", "cluster", "weak", "doubt"))
    matched = weak[group[weak[:, 1]] == group[query], 0]
    return database[related(query, database, group, cluster, doubt) | np.isin(database, matched)]
