"""Import the pairs of a training database in cnnimageretrieval's format."""

import logging
import operator
from collections.abc import Mapping
from pathlib import Path, PurePath

import networkx as nx
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.printable import printable
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found
from bow2cnn.pairs.pickles import PickleError, read_pickle
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.photos.copies import copies_of
from bow2cnn.split.sides import TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")
_SIDES = {"train": TRAIN, "val": VALIDATION}
_LISTS = ("cids", "cluster", "qidxs", "pidxs")
# The reasons why photos and pairs are left out.
_UNKNOWN = "photos are not in the collection"
_AMBIGUOUS = "photos have a name that several photos of the collection have"
_BOTH_SIDES = "photos for validation have the bytes of photos for training"
_INCOMPLETE = "pairs have lost a photo"
_SINGLE = "pairs are of one photo"


class DatabaseError(Exception):
    """A file that is not a usable database; the message names the file and the cause in one line."""


def import_database(database: str | Path, collection: str | Path) -> Found:
    """Import the pairs of a database. It has no evidence: all of its positives are equal.

    The photos of a pair show one place. So if a pair joins two clusters of the database, they become one place; the log says how many.
    Photos that are not in the collection, or whose names several photos have, are left out with their pairs, and the parameter `left_out`
    counts them by reason.

    Args:
        database: path of the file.
        collection: path of the `collection` artefact of its photos.

    Returns:
        The pairs.

    Raises:
        DatabaseError: the file is not a usable database.
        EmptyStageError: no pair has both of its photos in the collection.
        ArtefactError: the collection cannot be used.
    """
    photos = artefact.read(collection, "collection", ["path", "name", "rejected/path", "rejected/reason"])
    pairs = _Pairs(photos)
    for name, lists in _read(database).items():
        pairs.add(name, lists)
    left_out = [(len(names), f"{reason}, such as {printable(min(names))}") for reason, names in pairs.left_out.items() if names]
    for count, reason in left_out:
        _LOG.warning("pairs: %d %s", count, reason)
    if not pairs.positives:
        raise EmptyStageError(
            f"pairs: no pair of {database} has both of its photos in the collection; name the folder of its photos (ims) in `photos`"
        )
    place, queries = pairs.places(), sorted(pairs.positives)
    rule = NegativeRule(place, place, pairs.side)
    pools = [{"photo": np.array(sorted(pairs.positives[row]), np.int64)} for row in queries]
    validation = build_validation(rule, queries, [pool["photo"] for pool in pools])
    params = {"database": str(database), "places": int(place.max(initial=-1)) + 1, "left_out": left_out}
    return Found(np.array(queries, np.int64), pools, rule, validation, params)


class _Pairs:
    """The pairs of a database as rows of a collection.

    Attributes:
        side: int8 [n], of every photo of the collection, 0 if the database does not have it.
        positives: query to the set of its positives.
        left_out: reason to the names of the photos that are left out, or to the names of the queries of pairs that are left out.
    """

    def __init__(self, photos: Mapping) -> None:
        self._rows_of = _rows_by_name(photos)
        self._place = nx.utils.UnionFind()  # of rows, and of (side, cluster) of the database
        self.side = np.zeros(len(photos["name"]), np.int8)
        self.positives: dict[int, set[int]] = {}
        self.left_out: dict[str, list[str]] = {reason: [] for reason in (_UNKNOWN, _AMBIGUOUS, _BOTH_SIDES, _INCOMPLETE, _SINGLE)}

    def add(self, name: str, lists: Mapping[str, list]) -> None:
        """Add the photos and pairs of a side of the database."""
        rows = [self._row(cid, _SIDES[name]) for cid in lists["cids"]]
        for row, cluster in zip(rows, lists["cluster"], strict=True):
            if row is not None:
                self.side[row] = _SIDES[name]
                self._place.union((name, cluster), row)
        before = self._count_places(name, lists["cluster"])
        for query, positive in zip(lists["qidxs"], lists["pidxs"], strict=True):
            self._add_pair(rows[query], rows[positive], lists["cids"][query])
        _LOG.info("pairs: %d of %d photos of %s are in the collection", sum(row is not None for row in rows), len(rows), name)
        if (fewer := before - self._count_places(name, lists["cluster"])) > 0:
            _LOG.warning("pairs: in %s pairs join photos of different clusters, so there are %d places fewer than clusters", name, fewer)

    def _count_places(self, name, clusters):
        return len({self._place[name, cluster] for cluster in clusters})

    def _add_pair(self, query, positive, cid):
        if query is None or positive is None:
            self.left_out[_INCOMPLETE].append(cid)
        elif query == positive:
            self.left_out[_SINGLE].append(cid)
        else:
            self.positives.setdefault(query, set()).add(positive)
            self._place.union(query, positive)

    def _row(self, cid, side):
        """The row of a photo of the database, or None if it is left out."""
        rows = self._rows_of.get(cid, set())
        if len(rows) != 1:
            self.left_out[_AMBIGUOUS if rows else _UNKNOWN].append(cid)
            return None
        (row,) = rows
        if self.side[row] not in (0, side):
            self.left_out[_BOTH_SIDES].append(cid)
            return None
        return row

    def places(self) -> np.ndarray:
        """Place of every photo of the collection, int64 [n], numbered in the order of their first rows; -1 for a photo without a side."""
        number_of: dict = {}
        place = np.full(len(self.side), -1, np.int64)
        for row in np.flatnonzero(self.side).tolist():
            place[row] = number_of.setdefault(self._place[row], len(number_of))
        return place


def _rows_by_name(photos):
    """File name to the rows of the photos that have it; names of rejected copies too."""
    rows_of = {}
    for path, row in [*zip(photos["name"], range(len(photos["name"])), strict=True), *copies_of(photos)]:
        rows_of.setdefault(PurePath(path).name, set()).add(row)
    return rows_of


def _read(database):
    """The lists of a database, checked."""
    try:
        found = read_pickle(database)
    except (PickleError, OSError) as error:
        raise DatabaseError(f"{database}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(side), dict) and set(_LISTS) <= set(found[side]) for side in _SIDES):
        raise DatabaseError(f"{database}: is not a database of cnnimageretrieval ({', '.join(_SIDES)} with {', '.join(_LISTS)})")
    for side in _SIDES:
        try:
            lists = {name: [(_text if name == "cids" else operator.index)(value) for value in found[side][name]] for name in _LISTS}
        except TypeError as error:
            raise DatabaseError(f"{database}: lists of {side} hold values that are not names or whole numbers ({error})") from error
        count = len(lists["cids"])
        if len(lists["cluster"]) != count or len(lists["qidxs"]) != len(lists["pidxs"]):
            raise DatabaseError(f"{database}: lists of {side} have different lengths")
        if not all(0 <= place < count for name in ("qidxs", "pidxs") for place in lists[name]):
            raise DatabaseError(f"{database}: a pair of {side} has the number of a photo that is not in `cids`")
        found[side] = lists
    if set(found["train"]["cids"]) & set(found["val"]["cids"]):
        raise DatabaseError(f"{database}: some photos are both for training and for validation")
    return {side: found[side] for side in _SIDES}


def _text(value):
    """A name. Python 2 may have stored it as bytes."""
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{type(value).__name__} is not a name")
    return value if isinstance(value, str) else value.decode("latin1")
