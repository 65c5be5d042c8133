"""The rankings of each system, on a benchmark and on validation."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bow2cnn.benchmarks.truth import Truth
from bow2cnn.core import artefact
from bow2cnn.descriptors.apply_steps import apply_steps, details_of, label_of, read_learned
from bow2cnn.descriptors.fault import find_fault
from bow2cnn.descriptors.steps import prefixes_of
from bow2cnn.evaluation.errors import EvidenceError
from bow2cnn.evaluation.ranking import rankings

_LOG = logging.getLogger("bow2cnn")
# The teacher's lists in its artefact -> its column `postprocessing` of the table.
_BOW_LISTS = {"plain": "", "sv": "sv", "sv+qe": "sv+qe"}


def bow_rankings(truth: Truth, path: str | Path, name: str) -> dict[str, list[np.ndarray]]:
    """Rankings of the teacher on a benchmark.

    A photo that has nothing in common with the query is not in its ranking: a right photo among these was not found.

    Args:
        truth: of the benchmark.
        path: the teacher's artefact, of kind `ranking`.
        name: of the benchmark.

    Returns:
        by postprocessing, per query the rows of the photos that it found, int64 [n], best first.

    Raises:
        ArtefactError: the artefact is damaged or of another benchmark.
    """
    arrays = artefact.read(path, "ranking")
    if not np.array_equal(arrays["query"], truth.query):
        raise artefact.ArtefactError(f"{path}: is of other queries than benchmark {name}; delete it and start the run again")
    found = {}
    for kind, postprocessing in _BOW_LISTS.items():
        offset, photo = arrays[f"{kind}/offset"], arrays[f"{kind}/photo"].astype(np.int64)
        lists = []
        for number in range(len(truth.query)):  # a photo may be several queries, each a region of it
            listed = photo[offset[number] : offset[number + 1]]
            lists.append(listed[np.isin(listed, truth.database)])
        found[postprocessing] = lists
    lost = sum(not len(ranking) for ranking in found[""])
    if lost:
        _LOG.warning("evaluate: the teacher finds nothing for %d of %d queries of %s: their AP is 0", lost, len(truth.query), name)
    return found


def network_rankings(
    truth: Truth,
    descriptors: str | Path,
    of_benchmark: bool,
    steps: Sequence[Sequence[str]] = (),
    learned: Mapping[str, str | Path] | None = None,
    settings: Mapping[str, float] | None = None,
) -> Iterator[tuple[str, Iterator[tuple[np.ndarray, np.ndarray]]]]:
    """Rankings of a network without steps after the descriptor, and after every beginning of some lists of steps.

    Args:
        truth: whose queries are asked.
        descriptors: artefact.
        of_benchmark: whether the descriptors are of a benchmark, which has its queries in an array of their own.
        steps: lists of steps, see `bow2cnn.descriptors.steps`.
        learned: step to the artefact that it learned, for those that learn something.
        settings: of the steps that learn nothing, see `read_learned`.

    Yields:
        postprocessing, and per query (rows int64 [n], similarities float32 [n]), best first.

    Raises:
        EvidenceError: nothing can be ranked by the descriptors.
        ArtefactError: an artefact is damaged.
    """
    arrays, paths = artefact.read(descriptors, "descriptors"), learned or {}
    database, missing = arrays["descriptor"][truth.database], arrays["missing"][truth.database]
    queries = arrays["query"] if of_benchmark else arrays["descriptor"][truth.query]
    known = read_learned({name for names in steps for name in names}, paths, settings)
    for names in prefixes_of(steps):
        moved = apply_steps(names, queries, database, known)
        _check(paths.get(names[-1], descriptors) if names else descriptors, *moved, missing)
        yield label_of(names, known), _rank(truth, *moved, missing)


def details_of_steps(
    steps: Sequence[Sequence[str]], learned: Mapping[str, str | Path], settings: Mapping[str, float] | None = None
) -> dict[str, str]:
    """What validation chose, by postprocessing. Arguments as for `network_rankings`."""
    known = read_learned({name for names in steps for name in names}, learned, settings)
    return {label_of(names, known): details_of(names, known) for names in prefixes_of(steps)}


def _check(path, queries, database, missing):
    """Refuse descriptors that nothing can be ranked by; `path` is the artefact that they are due to."""
    fault = find_fault(database, missing) or find_fault(queries, np.ones(len(queries), bool))
    if fault or not queries.any(1).all():
        raise EvidenceError(f"{path}: {fault or 'that of a query is zero'}, so nothing can be ranked by them; delete it and run again")


def _rank(truth, queries, database, missing):
    return ((truth.database[order], similarity) for order, similarity in rankings(queries, database, missing))
