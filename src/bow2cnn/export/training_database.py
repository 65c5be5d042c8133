"""The training database in the layout of the reference trainer (Radenovic, Tolias, Chum, TPAMI 2018): `retrieval-SfM-*.pkl` and `ims/`.

The file is a dict of `train` and `val`, each a dict of lists: `cids` (names of photos, here their SHA-256), `cluster` (their classes),
`qidxs` and `pidxs` (queries and positives, as positions in `cids`). The photo CID lies in `ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID`.

A query's negatives are photos of other classes. So photos that our own training would not take for negatives (see `pairs.negatives`) get
the class of the query's place, as far as one number per photo can say that.
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
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.run.run import Run
from bow2cnn.split.sides import TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")
NAME = "retrieval-SfM-bow2cnn.pkl"
_SIDES = {"train": TRAIN, "val": VALIDATION}
# A positive, by the defaults of an experiment (m3).
_MIN_OVERLAP, _MAX_SCALE = (Experiment.model_fields[key].default for key in ("positives_overlap", "positives_scale"))


def export_database(run: Run, out: str | Path, background: bool = False, source: str | None = None) -> dict[str, tuple[int, int]]:
    """Write the training database of a run.

    Its only rule is that photos of other classes may be negatives. Here these are never photos that our own training holds for doubtful,
    except with `background`: for a background photo our training also excludes the models nearest to it (`NegativeRule.wary`), which one
    number per photo cannot say.

    Args:
        run: with the stage `pairs` done.
        out: folder; the photos are copied into it.
        background: whether to add the background photos (outside every model). Each is a class of its own, unless geometry says that it may
            show what another class shows.
        source: of the pairs; None if the run has pairs of one source only.

    Returns:
        side to its numbers of photos and of pairs.

    Raises:
        ArtefactError: a file of the run is missing, damaged, or does not belong to the others, or a photo has changed.
        WriteError: the disk is full or not writable.
    """
    out, photos, source = Path(out), run.photos, _choose_source(run, source)
    rule, positives = run.negatives(source), run.positives(source)
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


def _choose_source(run, source):
    if not run.sources:
        raise run.missing("negatives")
    if source is None and len(run.sources) > 1:
        raise artefact.ArtefactError(f"{run.results}: has pairs of {' and '.join(run.sources)}; choose one of them by --pairs")
    if source is not None and source not in run.sources:
        raise artefact.ArtefactError(f"{run.results}: has no pairs of {source}, but of {' and '.join(run.sources)}")
    return source or run.sources[0]


def assign_classes(rule: NegativeRule, members: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Choose the photos of a side that the database gets, and their classes.

    - Places that may be the same become one class, with the number of the first of them, as long as it has at most half of the side's
      photos: a single class for all photos would leave no negatives.
    - If two places may be the same but would make too large a class, the smaller place is left out.
    - A background photo joins the class that it may belong to. If it may belong to several, it is left out, because it must not
      be a negative of any of them.

    The log says how many were joined and left out.

    Args:
        rule: who may be a negative of whom.
        members: rows of the side, int64 [m], sorted.
        name: of the side, for the log.

    Returns:
        the chosen rows, int64 [k], sorted, and their classes, int64 [k].
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
            "export: %s: %d places may be the same as another one and have its class; %d places with %d photos may be the same as another "
            "one too, and are left out, because one class would have most of the photos; %d photos that may belong to several classes are "
            "left out", name, joined, len(dropped), sum(photos[own] for own in dropped), outside,
        )  # fmt: skip
    kept = np.array(sorted(classes), np.int64)
    return kept, np.array([classes[row] for row in kept.tolist()], np.int64)


def _join_places(links, photos, limit):
    """Class of every place.

    Args:
        links: pairs of places.
        photos: number of photos by place.
        limit: largest number of photos of a joined class.
    """
    joined, size = nx.utils.UnionFind(photos), dict(photos)
    for pair in links:
        first, second = (joined[place] for place in pair)
        if first != second and size[first] + size[second] <= limit:
            joined.union(first, second)
            size[joined[first]] = size[first] + size[second]
    return {place: min(own) for own in joined.to_sets() for place in own}


def _too_near(links, class_of, photos):
    """Places that are left out, so that no others may be the same but have two classes: of each two the one with fewer photos."""
    dropped = set()
    for pair in links:
        if class_of[pair[0]] != class_of[pair[1]] and not dropped.intersection(pair):
            dropped.add(min(pair, key=lambda place: (photos[place], -place)))
    return dropped


def path_of(cid: str) -> Path:
    """Path of a photo below `ims`."""
    return Path(cid[-2:], cid[-4:-2], cid[-6:-4], cid)


def _side(pairs, members, classes, names, several):
    """One side of the database. It has no pair twice, in either order."""
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
    """Positives of a query by the rule m3, as far as there is evidence. If one is wanted, or m3 allows none: the one with most common
    points, or the first.
    """
    photo = pool["photo"]
    good = np.ones(len(photo), bool)
    if "overlap" in pool:
        good &= pool["overlap"] > _MIN_OVERLAP
    if "scale" in pool:
        good &= pool["scale"] <= _MAX_SCALE
    return photo[good].tolist() if several and good.any() else photo[[np.argmax(pool.get("shared", np.zeros(len(photo))))]].tolist()


def _place(source, cid, target):
    """Copy a photo to where the trainer looks for it."""
    try:
        content = Path(source).read_bytes()
    except OSError as error:
        raise artefact.ArtefactError(f"{source}: cannot be read ({error.strerror}); start the run again") from error
    if hashlib.sha256(content).hexdigest() != cid:
        raise artefact.ArtefactError(f"{source}: has changed since the run read it; start the run again")
    write_bytes(target, content)
