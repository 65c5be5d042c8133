"""Validation by a truth that nobody labelled (`pairs.validation_truth`): rankings, AP and mAP of descriptors of the collection."""

from collections.abc import Iterator

import numpy as np

from bow2cnn.benchmarks.truth import ALL, Truth
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.evaluation.ranking import rankings


def validation_rankings(validation: Truth, descriptors: np.ndarray) -> Iterator[np.ndarray]:
    """Rank the database for every validation query.

    Args:
        validation: whose queries are asked.
        descriptors: float [n, D] of the whole collection; rows of zeros come last.

    Yields:
        per query int64 rows of the collection by falling similarity, without the query itself.
    """
    database, described = validation.database, descriptors[validation.database]
    found = rankings(descriptors[validation.query], described, ~described.any(1))
    for (order, _), query in zip(found, validation.query, strict=True):
        yield database[order][database[order] != query]


def validation_scores(validation: Truth, descriptors: np.ndarray) -> np.ndarray:
    """AP of every validation query, float64 [q], 0 to 100; 0 for one whose descriptor is zero, which finds nothing.

    Args:
        validation: whose queries are asked.
        descriptors: float [n, D] of the whole collection.
    """
    scores = score_rankings(validation_rankings(validation, descriptors), validation.protocols[ALL])["mAP"]
    return np.where(descriptors[validation.query].any(1), scores, 0.0)


def validation_map(validation: Truth, descriptors: np.ndarray) -> float | None:
    """mAP on the validation queries, 0 to 100; None without queries. See `validation_scores`."""
    return float(validation_scores(validation, descriptors).mean()) if len(validation.query) else None
