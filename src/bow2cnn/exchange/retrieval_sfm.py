"""The training database in the layout of the reference trainer (Radenovic, Tolias, Chum, TPAMI 2018): `retrieval-SfM-*.pkl` and `ims/`.

The file is a dict of `train` and `val`, each a dict of lists: `cids` (a photo's name, its SHA-256 here), `cluster` (its place), `qidxs` and
`pidxs` (queries and positives, places in `cids`). The photo CID lies in `ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID`.
"""

import pickle
import shutil
from pathlib import Path

import numpy as np

from bow2cnn import artefact
from bow2cnn.files import write_bytes, writing
from bow2cnn.progress import progress
from bow2cnn.split.split import TRAIN, VALIDATION

NAME = "retrieval-SfM-bow2cnn.pkl"
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
    pairs = artefact.read(results / "pairs/pairs.h5", "pairs")
    photos = artefact.read(results / "collection/collection.h5", "collection", ["path", "sha256"])
    names = [bytes(row).hex() for row in photos["sha256"]]
    database, rows = {}, []
    for name, side in (("train", TRAIN), ("val", VALIDATION)):
        members = np.flatnonzero((pairs["side"] == side) & (pairs["group"] >= 0) & (outsiders | (pairs["cluster"] >= 0)))
        database[name] = _side(pairs, members, names)
        rows += members.tolist()
    for row in progress(rows, "export"):
        _place(photos["path"][row], out / "ims" / path_of(names[row]))
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


def _place(source, target):
    """A photo where the trainer looks for it."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
