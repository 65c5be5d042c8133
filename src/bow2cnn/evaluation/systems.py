"""What each system ranks, on a benchmark and on validation."""

import logging

import numpy as np

from bow2cnn.benchmarks.truth import Truth
from bow2cnn.core import artefact
from bow2cnn.descriptors import whitening as whiten
from bow2cnn.descriptors.fault import find_fault
from bow2cnn.evaluation.errors import EvidenceError
from bow2cnn.evaluation.ranking import rankings

_LOG = logging.getLogger("bow2cnn")
_BOW_LISTS = {"plain": "", "sv": "sv", "sv+qe": "sv+qe"}
_WHITENED = {"learned": "lw", "pca": "pca"}  # `post` of the rows by what was learned


def bow_rankings(truth: Truth, path, name):
    """Rankings of the teacher on a benchmark, called `name`, by `post`: per query rows of the database.

    What has nothing in common with the query is not in its ranking: a right photo among it was not found.
    """
    arrays = artefact.read(path, "ranking")
    if not np.array_equal(arrays["query"], truth.query):
        raise artefact.ArtefactError(f"{path}: is of other queries than benchmark {name}; delete it and start the run again")
    found = {}
    for kind, post in _BOW_LISTS.items():
        offset, photo = arrays[f"{kind}/offset"], arrays[f"{kind}/photo"].astype(np.int64)
        lists = []
        for number in range(len(truth.query)):  # a photo may be several queries, each a region of it
            listed = photo[offset[number] : offset[number + 1]]
            lists.append(listed[np.isin(listed, truth.database)])
        found[post] = lists
    lost = sum(not len(ranking) for ranking in found[""])
    if lost:
        _LOG.warning("evaluate: the teacher finds nothing for %d of %d queries of %s: their AP is 0", lost, len(truth.query), name)
    return found


def network_rankings(truth: Truth, descriptors, whitening, of_benchmark):
    """Rankings of a network by `post` (without and with whitening): dict of iterators over (rows [n], similarities float32 [n]).

    Args:
        truth: whose queries are asked.
        descriptors, whitening: artefacts; no whitening where that is None.
        of_benchmark: whether the descriptors hold those of the queries apart.

    Raises:
        EvidenceError: nothing can be ranked by the descriptors.
    """
    arrays = artefact.read(descriptors, "descriptors")
    database, missing = arrays["descriptor"][truth.database], arrays["missing"][truth.database]
    queries = arrays["query"] if of_benchmark else arrays["descriptor"][truth.query]
    _check(descriptors, queries, database, missing)
    found = {"": _rank(truth, queries, database, missing)}
    if whitening is not None:
        with artefact.Reader(whitening, "whitening") as reader:
            mean, projection, kind = reader["mean"], reader["projection"], reader.params["whitening"]
        queries, database = (whiten.apply(rows, mean, projection) for rows in (queries, database))
        _check(whitening, queries, database, missing)
        found[_WHITENED[kind]] = _rank(truth, queries, database, missing)
    return found


def _check(path, queries, database, missing):
    """See to it that descriptors say something."""
    fault = find_fault(database, missing) or find_fault(queries, np.ones(len(queries), bool))
    if fault or not queries.any(1).all():
        raise EvidenceError(f"{path}: {fault or 'that of a query is zero'}, so nothing can be ranked by them; delete it and run again")


def _rank(truth, queries, database, missing):
    return ((truth.database[order], similarity) for order, similarity in rankings(queries, database, missing))
