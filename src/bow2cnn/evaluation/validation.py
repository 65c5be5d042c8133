"""Validation by a truth that nobody labelled (`pairs.validation`): rankings, AP and mAP of descriptors of the collection."""

import numpy as np

from bow2cnn.benchmarks.truth import ALL, Truth
from bow2cnn.evaluation.ranking import rankings
from bow2cnn.evaluation.scores import score_rankings


def validation_rankings(validation: Truth, descriptors):
    """Collection rows by falling similarity, the query itself left out: one int64 array after the other, for every validation query.

    Args:
        descriptors: float [n, D] of the whole collection; those of zeros come last.
    """
    database, described = validation.database, descriptors[validation.database]
    found = rankings(descriptors[validation.query], described, ~described.any(1))
    for (order, _), query in zip(found, validation.query, strict=True):
        yield database[order][database[order] != query]


def validation_scores(validation: Truth, descriptors):
    """AP of every validation query, float [q], 0 to 100; 0 for one whose descriptor is zero, which finds nothing."""
    scores = score_rankings(validation_rankings(validation, descriptors), validation.protocols[ALL])["mAP"]
    return np.where(descriptors[validation.query].any(1), scores, 0.0)


def validation_map(validation: Truth, descriptors):
    """mAP on the validation queries, 0 to 100; None where there is nothing to validate on."""
    return float(validation_scores(validation, descriptors).mean()) if len(validation.query) else None
