"""Pairs of a training database in cnnimageretrieval's format, which a user has already."""

import logging
import operator
from pathlib import PurePath

import networkx as nx
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.printable import printable
from bow2cnn.pairs.found import Found
from bow2cnn.pairs.negatives import NegativeRule
from bow2cnn.pairs.pickles import PickleError, read_plain
from bow2cnn.pairs.validation import build_validation
from bow2cnn.photos.copies import copies_of
from bow2cnn.split.sides import TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")
_SIDES = {"train": TRAIN, "val": VALIDATION}
_LISTS = ("cids", "cluster", "qidxs", "pidxs")
# What an import leaves out.
_LOST = (
    "photos are not in the collection",
    "photos have a name that several photos of the collection have",
    "photos for validation have the bytes of photos for training",
    "pairs have lost a photo",
    "pairs are of one photo",
)


class DatabaseError(Exception):
    """A file that is no such database; the message names it and the cause in one line."""


def import_database(database, collection):
    """The pairs of a database, which knows no evidence: all its positives are alike.

    A pair shows one place. So clusters that a pair joins are one place here, whatever their numbers; the log says how many. Photos that are
    not there, or whose name several photos have, are left out with their pairs; the parameter `left_out` counts them.

    Args:
        database: the file.
        collection: path of the `collection` artefact of its photos.

    Returns:
        `Found`.

    Raises:
        DatabaseError: the file is no such database.
        EmptyStageError: none of its photos is in the collection.
    """
    sides = _read(database)
    photos = artefact.read(collection, "collection", ["path", "name", "rejected/path", "rejected/reason"])
    rows_of, count = _rows_by_name(photos), len(photos["name"])
    place, side_of, queries, lost = nx.utils.UnionFind(), np.zeros(count, np.int8), {}, {reason: [] for reason in _LOST}
    for name, lists in sides.items():
        rows = [_row(rows_of.get(cid, set()), cid, side_of, _SIDES[name], lost) for cid in lists["cids"]]
        for row, cluster in zip(rows, lists["cluster"], strict=True):
            if row is not None:
                side_of[row] = _SIDES[name]
                place.union((name, cluster), row)
        before = len({place[name, cluster] for cluster in lists["cluster"]})
        for query, positive in zip(lists["qidxs"], lists["pidxs"], strict=True):
            pair = rows[query], rows[positive]
            if None in pair or pair[0] == pair[1]:
                lost["pairs have lost a photo" if None in pair else "pairs are of one photo"].append(lists["cids"][query])
            else:
                queries.setdefault(pair[0], set()).add(pair[1])
                place.union(*pair)
        _LOG.info("pairs: %d of %d photos of %s are there", sum(row is not None for row in rows), len(rows), name)
        if (joined := before - len({place[name, cluster] for cluster in lists["cluster"]})) > 0:
            _LOG.warning("pairs: in %s pairs join photos of different clusters; that makes %d places fewer than clusters", name, joined)
    left_out = [(len(names), f"{reason}, such as {printable(min(names))}") for reason, names in lost.items() if names]
    for number, reason in left_out:
        _LOG.warning("pairs: %d %s", number, reason)
    if not queries:
        raise EmptyStageError(f"pairs: no pair of {database} is among the photos; `photos` in the config has to name its folder (ims)")
    number_of, own = {}, np.full(count, -1, np.int64)
    for row in np.flatnonzero(side_of).tolist():
        own[row] = number_of.setdefault(place[row], len(number_of))
    rule, rows = NegativeRule(own, own, side_of), sorted(queries)
    pools = [{"photo": np.array(sorted(queries[row]), np.int64)} for row in rows]
    validation = build_validation(rule, rows, [pool["photo"] for pool in pools])
    params = {"database": str(database), "places": len(number_of), "left_out": left_out}
    return Found(np.array(rows, np.int64), pools, rule, validation, params)


def _rows_by_name(photos):
    """End of a path to the rows of the photos that have it, copies among them."""
    rows_of = {}
    for path, row in [*zip(photos["name"], range(len(photos["name"])), strict=True), *copies_of(photos)]:
        rows_of.setdefault(PurePath(path).name, set()).add(row)
    return rows_of


def _row(rows, cid, side_of, side, lost):
    """The row of a photo of a database, or None where it is left out."""
    if len(rows) != 1:
        lost["photos have a name that several photos of the collection have" if rows else "photos are not in the collection"].append(cid)
        return None
    (row,) = rows
    if side_of[row] not in (0, side):
        lost["photos for validation have the bytes of photos for training"].append(cid)
        return None
    return row


def _read(database):
    """The lists of a database, checked."""
    try:
        found = read_plain(database)
    except (PickleError, OSError) as error:
        raise DatabaseError(f"{database}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(side), dict) and set(_LISTS) <= set(found[side]) for side in _SIDES):
        raise DatabaseError(f"{database}: is no database of cnnimageretrieval ({', '.join(_SIDES)} with {', '.join(_LISTS)})")
    for side in _SIDES:
        try:
            lists = {name: [(_text if name == "cids" else operator.index)(value) for value in found[side][name]] for name in _LISTS}
        except TypeError as error:
            raise DatabaseError(f"{database}: lists of {side} hold something else than names and whole numbers ({error})") from error
        count = len(lists["cids"])
        if len(lists["cluster"]) != count or len(lists["qidxs"]) != len(lists["pidxs"]):
            raise DatabaseError(f"{database}: lists of {side} have different lengths")
        if not all(0 <= place < count for name in ("qidxs", "pidxs") for place in lists[name]):
            raise DatabaseError(f"{database}: a pair of {side} names a photo that is not there")
        found[side] = lists
    if set(found["train"]["cids"]) & set(found["val"]["cids"]):
        raise DatabaseError(f"{database}: photos for training are photos for validation too")
    return {side: found[side] for side in _SIDES}


def _text(value):
    """A name, which Python 2 may have kept as bytes."""
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{type(value).__name__} is no name")
    return value if isinstance(value, str) else value.decode("latin1")
