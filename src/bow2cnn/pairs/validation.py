"""The truth of validation: no label, only what the source of the pairs knows.

Queries are those of the validation side. Junk are photos that may show the query's place all the same. The other photos of the collection
are wrong answers: those of training places and background photos too, because with few places the validation photos alone would
make retrieval too easy to tell two networks apart. Photos that must not be used take no part: nobody knows what they show.
"""

import numpy as np

from bow2cnn.benchmarks.places import find_places
from bow2cnn.benchmarks.truth import ALL, Truth
from bow2cnn.pairs.negatives import NegativeRule
from bow2cnn.split.sides import VALIDATION


def build_validation(rule: NegativeRule, queries, positives: list) -> Truth:
    """The truth of the validation queries that have a positive.

    Args:
        rule: who shows what.
        queries: int [q] rows; those of other sides are passed over.
        positives: per query int rows.
    """
    database, chosen, answers = rule.rows(), [], []
    for query, rows in zip(np.asarray(queries, np.int64).tolist(), positives, strict=True):
        right = np.unique(np.asarray(rows, np.int64))
        right = right[rule.used[right] & (right != query)]
        if rule.side[query] == VALIDATION and rule.used[query] and len(right):
            chosen.append(query)
            answers.append((right, np.setdiff1d(database[rule.may_show(query, database)], right)))
    query = np.array(chosen, np.int64)
    # Queries that may show the same place, junk of each other, are of one.
    place = find_places(query, [np.concatenate([right, np.intersect1d(junk, query)]) for right, junk in answers])
    return Truth(query, database, {ALL: answers}, place, np.full((len(query), 4), np.nan))
