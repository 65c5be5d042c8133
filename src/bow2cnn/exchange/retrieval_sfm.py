"""The training database in the layout of the reference trainer (Radenovic, Tolias, Chum, TPAMI 2018): `retrieval-SfM-*.pkl` and `ims/`.

The file is a dict of `train` and `val`, each a dict of lists: `cids` (a photo's name, its SHA-256 here), `cluster` (its class), `qidxs` and
`pidxs` (queries and positives, places in `cids`). The photo CID lies in `ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID`.

A query's negatives are photos of other classes. So what our own training would not take for a negative (see `pairs.negatives`) goes
into the class of the query's place, as far as one number can say that.
"""

import hashlib
import logging
import operator
import pickle
from collections import Counter
from pathlib import Path, PurePath

import networkx as nx
import numpy as np

from bow2cnn import artefact
from bow2cnn.collection.copies import copies_of
from bow2cnn.exchange.pickles import PickleError, read_plain
from bow2cnn.files import write_bytes
from bow2cnn.nothing import NothingFound
from bow2cnn.pairs.found import Found
from bow2cnn.pairs.negatives import NegativeRule, read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.pairs.sources import folders_of_pairs
from bow2cnn.pairs.validation import build_validation
from bow2cnn.photos import check_photos
from bow2cnn.progress import progress
from bow2cnn.split.sides import TRAIN, VALIDATION
from bow2cnn.text import printable

_LOG = logging.getLogger("bow2cnn")
NAME = "retrieval-SfM-bow2cnn.pkl"
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
_MIN_OVERLAP, _MAX_SCALE = 0.2, 1.5  # of a positive (m3: TPAMI section 3.3)


def export_database(results, out, outsiders=False, source=None):
    """Write the training database of a run.

    Its only rule is that photos of other classes may be negatives, and here these are no photos that our own training holds for doubtful.
    With outsiders there are: of a photo outside every model our training excepts the models nearest to it (`NegativeRule.wary`), which one
    number cannot say.

    Args:
        results: the run's folder, whose stage `pairs` is done.
        out: folder; the photos are copied into it.
        outsiders: with the photos outside every model, each a class of its own, unless geometry says that it may show what another class
            shows.
        source: of the pairs; may be left out where the run has those of one source only.

    Returns:
        dict of side to (photos, pairs).

    Raises:
        ArtefactError, WriteError.
    """
    results, out = Path(results), Path(out)
    folder = _folder_of_pairs(results, source)
    check_photos(results / "collection/collection.h5", folder / "negatives.h5", folder / "positives.h5")
    rule, positives = read_negatives(folder / "negatives.h5"), read_positives(folder / "positives.h5")
    photos = artefact.read(results / "collection/collection.h5", "collection", ["path", "sha256"])
    names = [bytes(row).hex() for row in photos["sha256"]]
    database, rows = {}, []
    for name, side in _SIDES.items():
        members = rule.rows(side)
        members, classes = assign_classes(rule, members if outsiders else members[~rule.background[members]], name)
        database[name] = _side(positives, members, classes, names, several=side == TRAIN)
        rows += members.tolist()
    for row in progress(rows, "export"):
        _place(photos["path"][row], names[row], out / "ims" / path_of(names[row]))
    write_bytes(out / NAME, pickle.dumps(database, protocol=2))  # what the reference's own Python read
    return {name: (len(side["cids"]), len(side["qidxs"])) for name, side in database.items()}


def _folder_of_pairs(results, source):
    """The folder of a source's pairs in a run."""
    found = folders_of_pairs(results)
    if source is None and len(found) > 1:
        raise artefact.ArtefactError(f"{results}: has pairs of {' and '.join(found)}; choose one of them by --pairs")
    if source is not None and source not in found:
        raise artefact.ArtefactError(f"{results}: has no pairs of {source}, but of {' and '.join(found) or 'no source'}")
    return found[source] if source else next(iter(found.values()), results / "pairs/models")


def assign_classes(rule, members, name):
    """Members of a side that the database gets, int64 [k], and their classes, int64 [k].

    Places that may be the same become one class, named by the first of them, while it has at most half of the side's photos: one class of
    everything would leave no negatives. Of places that may be the same all the same, the smaller is left out. A photo outside every model
    joins the class that it may belong to. One that may belong to several is left out, because it must be no negative of any of them. The
    log says what was joined and left out.

    Args:
        rule: `NegativeRule`.
        members: int64 rows of the side, sorted.
        name: of the side, for the log.
    """
    place, cluster = rule.place, rule.cluster
    modelled = members[cluster[members] >= 0]
    links, photos = rule.joined_places(modelled), Counter(place[modelled].tolist())
    class_of = _join_places(links, photos, len(members) / 2)
    dropped = _too_near(links, class_of, photos)
    classes = {row: class_of[own] for row, own in zip(modelled.tolist(), place[modelled].tolist(), strict=True) if own not in dropped}
    partners = rule.partners(members)
    for row in members[cluster[members] < 0].tolist():
        found = {classes[other] for other in partners.get(row, ()) if other in classes}
        if len(found) <= 1:
            classes[row] = min(found, default=int(place[row]))
    joined = len(set(class_of)) - len(set(class_of.values()))
    if links or len(classes) < len(members):
        outside = int(np.count_nonzero(cluster[members] < 0)) - sum(cluster[row] < 0 for row in classes)
        _LOG.warning(
            "export: in %s %d places that may show what another one shows have its class; %d places with %d photos are left out, because "
            "they may show what another one shows and one class would have most of the photos; %d photos that may belong to several "
            "classes are left out", name, joined, len(dropped), sum(photos[own] for own in dropped), outside,
        )  # fmt: skip
    kept = np.array(sorted(classes), np.int64)
    return kept, np.array([classes[row] for row in kept.tolist()], np.int64)


def _join_places(links, photos, limit):
    """Class of every place.

    Args:
        links: pairs of places.
        photos: number by place.
        limit: photos of a class that is made by joining.
    """
    joined, size = nx.utils.UnionFind(photos), dict(photos)
    for pair in links:
        first, second = (joined[place] for place in pair)
        if first != second and size[first] + size[second] <= limit:
            joined.union(first, second)
            size[joined[first]] = size[first] + size[second]
    return {place: min(own) for own in joined.to_sets() for place in own}


def _too_near(links, class_of, photos):
    """Places that are left out so that no two are left that may be the same and have two classes: of two the one with fewer photos."""
    dropped = set()
    for pair in links:
        if class_of[pair[0]] != class_of[pair[1]] and not dropped.intersection(pair):
            dropped.add(min(pair, key=lambda place: (photos[place], -place)))
    return dropped


def path_of(cid):
    """Where a photo lies below `ims`."""
    return Path(cid[-2:], cid[-4:-2], cid[-6:-4], cid)


def _side(pairs, members, classes, names, several):
    """One side of the database. No pair is there twice, in whatever order."""
    number_of = {row: number for number, row in enumerate(members.tolist())}
    seen, chosen = set(), []
    for query, pool in zip(pairs.query.tolist(), pairs.pools, strict=True):
        if query not in number_of:
            continue
        for positive in _positives(pool, several):
            pair = frozenset((query, positive))
            if positive in number_of and len(pair) == 2 and pair not in seen:
                seen.add(pair)
                chosen.append((number_of[query], number_of[positive]))
    return {
        "cids": [names[row] for row in members.tolist()],
        "cluster": classes.tolist(),
        "qidxs": [query for query, _ in chosen],
        "pidxs": [positive for _, positive in chosen],
    }


def _positives(pool, several):
    """Positives of a query: those of m3 as far as there is evidence; where one is wanted, or there is none of these, the one with most
    common points, or the first.
    """
    photo = pool["photo"]
    good = np.ones(len(photo), bool)
    if "overlap" in pool:
        good &= pool["overlap"] > _MIN_OVERLAP
    if "scale" in pool:
        good &= pool["scale"] <= _MAX_SCALE
    return photo[good].tolist() if several and good.any() else photo[[np.argmax(pool.get("shared", np.zeros(len(photo))))]].tolist()


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
        NothingFound: none of its photos is in the collection.
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
        raise NothingFound(f"pairs: no pair of {database} is among the photos; `photos` in the config has to name its folder (ims)")
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
