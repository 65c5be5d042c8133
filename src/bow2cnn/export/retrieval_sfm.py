"""The training database in the layout of the reference trainer (Radenovic, Tolias, Chum, TPAMI 2018): `retrieval-SfM-*.pkl` and `ims/`.

The file is a dict of `train` and `val`, each a dict of lists: `cids` (a photo's name, its SHA-256 here), `cluster` (its class), `qidxs` and
`pidxs` (queries and positives, places in `cids`). The photo CID lies in `ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID`.

A query's negatives are photos of other classes. So what our own training would not take for a negative (see `pairs.negatives`) goes
into the class of the query's place, as far as one number can say that.
"""

import hashlib
import logging
import pickle
from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np

from bow2cnn.config.experiment import Experiment
from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos
from bow2cnn.pairs.negatives import read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.pairs.sources import folders_of_pairs
from bow2cnn.split.sides import TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")
NAME = "retrieval-SfM-bow2cnn.pkl"
_SIDES = {"train": TRAIN, "val": VALIDATION}
# A positive, by the defaults of an experiment (m3).
_MIN_OVERLAP, _MAX_SCALE = (Experiment.model_fields[key].default for key in ("positives_overlap", "positives_scale"))


def export_database(results, out, background=False, source=None):
    """Write the training database of a run.

    Its only rule is that photos of other classes may be negatives, and here these are no photos that our own training holds for doubtful.
    With background photos there are some: our training does not take a background photo for a negative of the models nearest to it
    (`NegativeRule.wary`), and one number cannot say that.

    Args:
        results: the run's folder, whose stage `pairs` is done.
        out: folder; the photos are copied into it.
        background: with the background photos (outside every model), each a class of its own, unless geometry says that it may show what
            another class shows.
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
        members, classes = assign_classes(rule, members if background else members[~rule.background[members]], name)
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
    everything would leave no negatives. Of places that may be the same all the same, the smaller is left out. A background photo
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
