"""The training database in the layout of the reference trainer (Radenovic, Tolias, Chum, TPAMI 2018): `retrieval-SfM-*.pkl` and `ims/`.

The file is a dict of `train` and `val`, each a dict of lists: `cids` (a photo's name, its SHA-256 here), `cluster` (its place), `qidxs` and
`pidxs` (queries and positives, places in `cids`). The photo CID lies in `ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID`.
"""

import hashlib
import logging
import operator
import pickle
from collections import Counter
from pathlib import Path, PurePath

import numpy as np

from bow2cnn import artefact
from bow2cnn.exchange.pickles import PickleError, read_plain
from bow2cnn.files import write_bytes
from bow2cnn.nothing import NothingFound
from bow2cnn.pairs.evidence import Evidence
from bow2cnn.photos import check_photos, photos_of
from bow2cnn.progress import progress
from bow2cnn.split.split import TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")
NAME = "retrieval-SfM-bow2cnn.pkl"
_SIDES = {"train": TRAIN, "val": VALIDATION}
_LISTS = ("cids", "cluster", "qidxs", "pidxs")
_MIN_OVERLAP, _MAX_SCALE = 0.2, 1.5  # of a positive (m3: TPAMI section 3.3)


def export_database(results, out, outsiders=True):
    """Write the training database of a run.

    Args:
        results: the run's folder, whose stage `pairs` is done.
        out: folder; the photos are copied into it.
        outsiders: with the photos outside every model, each a place of its own.

    Returns:
        dict of side to (photos, pairs).

    Raises:
        ArtefactError, WriteError.
    """
    results, out = Path(results), Path(out)
    check_photos(results / "collection/collection.h5", results / "pairs/pairs.h5")
    pairs = artefact.read(results / "pairs/pairs.h5", "pairs")
    photos = artefact.read(results / "collection/collection.h5", "collection", ["path", "sha256"])
    names = [bytes(row).hex() for row in photos["sha256"]]
    database, rows = {}, []
    for name, side in _SIDES.items():
        members = np.flatnonzero((pairs["side"] == side) & (pairs["group"] >= 0) & (outsiders | (pairs["cluster"] >= 0)))
        database[name] = _side(pairs, members, names)
        rows += members.tolist()
    for row in progress(rows, "export"):
        _place(photos["path"][row], names[row], out / "ims" / path_of(names[row]))
    write_bytes(out / NAME, pickle.dumps(database, protocol=2))  # what the reference's own Python read
    return {name: (len(side["cids"]), len(side["qidxs"])) for name, side in database.items()}


def path_of(cid):
    """Where a photo lies below `ims`."""
    return Path(cid[-2:], cid[-4:-2], cid[-6:-4], cid)


def _side(pairs, members, names):
    """One side of the database. No pair is there twice, in whatever order."""
    place = {row: number for number, row in enumerate(members.tolist())}
    seen, chosen = set(), []
    for number, query in enumerate(pairs["query"].tolist()):
        if query not in place:
            continue
        for positive in _positives(pairs, number, several=pairs["side"][query] == TRAIN):
            pair = frozenset((query, positive))
            if positive in place and len(pair) == 2 and pair not in seen:
                seen.add(pair)
                chosen.append((place[query], place[positive]))
    return {
        "cids": [names[row] for row in members.tolist()],
        "cluster": pairs["group"][members].tolist(),
        "qidxs": [query for query, _ in chosen],
        "pidxs": [positive for _, positive in chosen],
    }


def _positives(pairs, number, several):
    """Positives of a query: those of m3; where one is wanted, or there is none of these, the one with most common points."""
    rows = slice(*pairs["pool_offset"][number : number + 2])
    photo, shared = pairs["pool/photo"][rows], pairs["pool/shared"][rows]
    good = (pairs["pool/overlap"][rows] > _MIN_OVERLAP) & (pairs["pool/scale"][rows] <= _MAX_SCALE)
    return photo[good].tolist() if several and good.any() else photo[[np.argmax(shared)]].tolist()


def _place(source, cid, target):
    """A photo where the trainer looks for it."""
    try:
        content = Path(source).read_bytes()
    except OSError as error:
        raise artefact.ArtefactError(f"{source}: cannot be read ({error.strerror}); start the run again") from error
    if hashlib.sha256(content).hexdigest() != cid:
        raise artefact.ArtefactError(f"{source}: is another photo than the run has seen; start the run again")
    write_bytes(target, content)


class DatabaseError(Exception):
    """A file that is no such database; the message names it and the cause in one line."""


def import_database(database, collection, out):
    """Write the `pairs` artefact of a database, which knows no evidence: all its positives are alike.

    Args:
        database: the file.
        collection: path of the `collection` artefact of its photos. Photos that are not there, or twice, are left out.
        out: path.

    Raises:
        DatabaseError: the file is no such database.
        NothingFound: none of its photos is in the collection.
    """
    sides = _read(database)
    names = artefact.read(collection, "collection", ["name"])["name"]
    ends = [PurePath(name).name for name in names]
    once = Counter(ends)
    row_of = {end: row for row, end in enumerate(ends) if once[end] == 1}
    group, side_of, queries, places = np.full(len(names), -1, np.int32), np.zeros(len(names), np.int8), {}, {}
    for name, lists in sides.items():
        rows = [row_of.get(cid, -1) for cid in lists["cids"]]
        for row, cluster in zip(rows, lists["cluster"], strict=True):
            if row >= 0:
                group[row], side_of[row] = places.setdefault((name, cluster), len(places)), _SIDES[name]
        for query, positive in zip(lists["qidxs"], lists["pidxs"], strict=True):
            if min(rows[query], rows[positive]) >= 0 and query != positive:
                queries.setdefault(rows[query], set()).add(rows[positive])
        _LOG.info("pairs: %d of %d photos of %s are there", sum(row >= 0 for row in rows), len(rows), name)
    if not queries:
        raise NothingFound(f"pairs: no pair of {database} is among the photos; `photos` in the config has to name its folder (ims)")
    pools = [sorted(queries[query]) for query in sorted(queries)]
    offset, photo = artefact.offsets([len(pool) for pool in pools]), np.array([row for pool in pools for row in pool], np.int32)
    arrays = {"query": np.array(sorted(queries), np.int32), "pool_offset": offset, "positive_offset": offset, "positive": photo}
    alike = {"photo": photo, "distance": np.zeros(len(photo))}
    arrays |= {f"pool/{name}": np.asarray(alike.get(name, np.ones(len(photo))), dtype) for name, dtype in Evidence.FIELDS.items()}
    arrays |= {"group": group, "side": side_of, "cluster": group, "weak": np.zeros((0, 2), np.int32), **photos_of(collection)}
    artefact.write(out, "pairs", arrays, {"database": str(database), "places": len(places)})


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
