"""The ground truth that the teacher gives: no label, only the models that it found.

Queries come from the validation models. Positives are the photos with enough common 3D points; the other photos of the same model are
junk; all other photos of the collection are negatives, those of training models and those outside every model too: with few models the
validation photos alone would make retrieval too easy to tell two networks apart.
"""

from typing import NamedTuple

import numpy as np

from bow2cnn import artefact
from bow2cnn.evaluation.ranking import rank
from bow2cnn.evaluation.scores import score_rankings

_ARRAYS = ["group", "side", "query", "positive_offset", "positive"]
VALIDATION_SIDE = 2


class Validation(NamedTuple):
    """`query` int64 [q] collection rows; `truth` per query (positives, junk) as int64 rows of the database; `database` int64 rows."""

    query: np.ndarray
    truth: list
    database: np.ndarray


def validation_rankings(validation, descriptors, missing=None):
    """Collection rows by falling similarity per validation query, the query itself left out: list of int64.

    Args:
        descriptors: float [n, D] of the whole collection; missing: bool [n].
    """
    database = validation.database
    order, _ = rank(descriptors[validation.query], descriptors[database], None if missing is None else missing[database])
    return [database[row][database[row] != query] for row, query in zip(order, validation.query, strict=True)]


def validation_scores(validation, descriptors):
    """AP of every validation query, float [q], 0 to 100."""
    return score_rankings(validation_rankings(validation, descriptors), validation.truth)["mAP"]


def validation_map(validation, descriptors):
    """mAP on the validation queries, 0 to 100; None where there is nothing to validate on."""
    return float(validation_scores(validation, descriptors).mean()) if len(validation.query) else None


def read_validation(pairs):
    """The validation ground truth of a `pairs` artefact."""
    return build_validation(artefact.read(pairs, "pairs", _ARRAYS))


def build_validation(arrays, missing=None):
    """The same from the arrays of the artefact; photos that are `missing`, bool [n], take no part."""
    group, side, offset = np.asarray(arrays["group"], np.int64), np.asarray(arrays["side"]), np.asarray(arrays["positive_offset"])
    database = np.arange(len(group)) if missing is None else np.flatnonzero(~missing)
    queries, truth = [], []
    for number, query in enumerate(np.asarray(arrays["query"], np.int64)):
        positives = np.unique(np.asarray(arrays["positive"], np.int64)[offset[number] : offset[number + 1]])
        positives = positives[positives != query]
        if side[query] != VALIDATION_SIDE or group[query] < 0 or len(positives) == 0:
            continue
        queries.append(query)
        truth.append((positives, np.setdiff1d(database[group[database] == group[query]], positives)))
    return Validation(np.array(queries, np.int64), truth, database)
