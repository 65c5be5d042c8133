"""What each system ranks, on a benchmark and on validation."""

import logging
from typing import NamedTuple

import numpy as np

from bow2cnn import artefact
from bow2cnn.collection.benchmark import read_benchmark_rows
from bow2cnn.description.fault import find_fault
from bow2cnn.evaluation.errors import EvidenceError
from bow2cnn.evaluation.gains import VALIDATION
from bow2cnn.evaluation.ground_truth import read_ground_truth
from bow2cnn.evaluation.places import find_places, validation_places
from bow2cnn.evaluation.ranking import rankings
from bow2cnn.evaluation.validation import read_validation
from bow2cnn.whitening import whiten

_LOG = logging.getLogger("bow2cnn")
_BOW_LISTS = {"plain": "", "sv": "sv", "sv+qe": "sv+qe"}
_WHITENED = {"learned": "lw", "pca": "pca"}  # `post` of the rows by what was learned


class Task(NamedTuple):
    """A benchmark, or validation, as rows of its collection.

    Attributes:
        name: of the benchmark.
        query: int64 [q] rows.
        database: int64 [n] rows.
        truth: by protocol, per query (positives, junk), rows.
        place: int64 [q], numbers of the places that the queries show.
        of_benchmark: whether descriptors hold a benchmark's queries apart.
    """

    name: str
    query: np.ndarray
    database: np.ndarray
    truth: dict
    place: np.ndarray
    of_benchmark: bool


def benchmark_task(name, gnd, photos, collection):
    """The task of a benchmark; rows are those of its `collection` artefact."""
    truth = read_ground_truth(gnd, photos)
    rows = read_benchmark_rows(collection)
    database = rows.database(truth)
    by_protocol = {
        protocol: [(database[positives], database[junk]) for positives, junk in truth.select(protocol)] for protocol in truth.protocols()
    }
    queries = rows.queries(truth)
    if truth.place is None:
        place = find_places(queries, [database[query.ok] for query in truth.queries])
    else:
        place = np.unique(truth.place, return_inverse=True)[1]
    return Task(name, queries, database, by_protocol, place, True)


def validation_task(pairs, missing):
    """The task of the validation models; rows are those of the collection, of which those that are `missing`, bool [n], take no part."""
    validation = read_validation(pairs, missing)
    return Task(VALIDATION, validation.query, validation.database, {"all": validation.truth}, validation_places(validation), False)


def bow_rankings(task, path):
    """Rankings of the teacher by `post`, per query rows of the database.

    What has nothing in common with the query is not in its ranking: a right photo among it was not found.
    """
    arrays = artefact.read(path, "ranking")
    if not np.array_equal(arrays["query"], task.query):
        raise artefact.ArtefactError(f"{path}: is of other queries than benchmark {task.name}; delete it and start the run again")
    found = {}
    for name, post in _BOW_LISTS.items():
        offset, photo = arrays[f"{name}/offset"], arrays[f"{name}/photo"].astype(np.int64)
        lists = []
        for number in range(len(task.query)):  # a photo may be several queries, each a region of it
            listed = photo[offset[number] : offset[number + 1]]
            lists.append(listed[np.isin(listed, task.database)])
        found[post] = lists
    lost = sum(not len(ranking) for ranking in found[""])
    if lost:
        _LOG.warning("evaluate: the teacher finds nothing for %d of %d queries of %s: their AP is 0", lost, len(task.query), task.name)
    return found


def network_rankings(task, descriptors, whitening):
    """Rankings of a network by `post` (without and with whitening): dict of iterators over (rows [n], similarities float32 [n]).

    Raises:
        EvidenceError: nothing can be ranked by the descriptors.
    """
    arrays = artefact.read(descriptors, "descriptors")
    database, missing = arrays["descriptor"][task.database], arrays["missing"][task.database]
    queries = arrays["query"] if task.of_benchmark else arrays["descriptor"][task.query]
    _check(descriptors, queries, database, missing)
    found = {"": _rank(task, queries, database, missing)}
    if whitening is not None:
        with artefact.Reader(whitening, "whitening") as reader:
            mean, projection, kind = reader["mean"], reader["projection"], reader.params["whitening"]
        queries, database = (whiten.apply(rows, mean, projection) for rows in (queries, database))
        _check(whitening, queries, database, missing)
        found[_WHITENED[kind]] = _rank(task, queries, database, missing)
    return found


def _check(path, queries, database, missing):
    """See to it that descriptors say something."""
    fault = find_fault(database, missing) or find_fault(queries, np.ones(len(queries), bool))
    if fault or not queries.any(1).all():
        raise EvidenceError(f"{path}: {fault or 'that of a query is zero'}, so nothing can be ranked by them; delete it and run again")


def _rank(task, queries, database, missing):
    return ((task.database[order], similarity) for order, similarity in rankings(queries, database, missing))
