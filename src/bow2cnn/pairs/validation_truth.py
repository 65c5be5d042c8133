"""The truth of validation. It comes from the source of the pairs, not from labels.

The queries are those on the side of validation. Photos that may show the query's place, but are not its positives, are junk. All other used
photos are wrong answers, photos of training places and background photos too: with the photos of a few validation places alone, retrieval
would be so easy that two networks could not be compared. Photos that must not be used are left out, because it is not known what they show.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bow2cnn.benchmarks.places import find_places
from bow2cnn.benchmarks.truth import ALL, Truth
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.split.sides import VALIDATION


def build_validation(rule: NegativeRule, queries: ArrayLike, positives: Sequence[ArrayLike]) -> Truth:
    """Build the truth of the validation queries that have a positive.

    Args:
        rule: of the negatives, with the places and sides of all photos.
        queries: int [q] rows; queries on other sides are ignored.
        positives: per query int [k] rows.
    """
    database, chosen = rule.rows(), []
    answers: list[tuple[np.ndarray, np.ndarray]] = []
    for query, rows in zip(np.asarray(queries, np.int64).tolist(), positives, strict=True):
        right = np.unique(np.asarray(rows, np.int64))
        right = right[rule.used[right] & (right != query)]
        if rule.side[query] == VALIDATION and rule.used[query] and len(right):
            chosen.append(query)
            answers.append((right, np.setdiff1d(database[rule.may_show(query, database)], right)))
    query = np.array(chosen, np.int64)
    # Queries that are junk of each other may show the same place, so they count as one place.
    place = find_places(query, [np.concatenate([right, np.intersect1d(junk, query)]) for right, junk in answers])
    return Truth(query, database, {ALL: answers}, place, np.full((len(query), 4), np.nan))
