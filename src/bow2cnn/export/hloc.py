"""Local features and verified pairs as hloc reads them: `features.h5`, `pairs.txt` and `matches.h5`.

hloc takes the pixels of a file as they lie, whatever EXIF says, and so are the places of features and the sizes here.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import atomic_write, write_bytes
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, shards_of
from bow2cnn.export.names import names_for_others
from bow2cnn.features.sift import DESCRIPTOR_SCALE
from bow2cnn.features.store import FeatureStore
from bow2cnn.photos.orientation import place_in_file, size_in_file


class UnfitName(ValueError):
    """hloc would misread the name of every photo; the message says why."""


class Exported(NamedTuple):
    """What an export holds and what it had to leave out: numbers of photos and of verified pairs, and a line per photo left out."""

    photos: int
    pairs: int
    pairs_left_out: int
    left_out: list


def export_hloc(results, out):
    """Write what a run found for hloc.

    `features.h5` has a group per photo with `keypoints` float32 [N, 2] (pixels of the file, the centre of the top left one at 0, 0; their
    attribute `uncertainty`: so many pixels of the file is one of the photo as it was searched), `descriptors` float16 [128, N], `scores`,
    `image_size` (of the file); `pairs.txt` a line per verified pair; `matches.h5` of each pair `matches0` int16 [N] (int32 where the second
    photo has too many), its feature or -1, and `matching_scores0`. Photos whose names hloc would misread are left out, and their pairs.

    Args:
        results: the run's folder, whose stage `clustering` is done.
        out: folder.

    Returns:
        `Exported`.

    Raises:
        ArtefactError, WriteError.
        UnfitName: no photo has a name that hloc can read.
    """
    results, out = Path(results), Path(out)
    photos = artefact.read(results / "collection/collection.h5", "collection", ["path", "name", "width", "height", "orientation"])
    names = names_for_others(photos)
    unfit = _unfit_names(names)
    rows = [row for row in range(len(names)) if row not in unfit]
    if names and not rows:
        raise UnfitName(f"{names[0]}: {unfit[0]}, like every other photo's name; rename the photos or their folders")
    features, graph = shards_of(results, "features"), results / "clustering/graph.h5"
    check_photos(results / "collection/collection.h5", features, graph)
    graph = artefact.read(graph, "graph", ["pair", "match_offset", "match"])
    store = FeatureStore(features, capacity=0)
    counts = np.zeros(len(names), np.int64)
    with atomic_write(out / "features.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for row in progress(rows, "features"):
            keypoint, descriptor = store[row]
            counts[row] = len(keypoint)
            size, orientation = (int(photos["width"][row]), int(photos["height"][row])), int(photos["orientation"][row])
            xy = place_in_file(keypoint[:, :2], size, orientation) - 0.5
            uncertainty = float(np.mean(store.scale(row)))
            _write_features(file.create_group(names[row]), xy, descriptor, size_in_file(size, orientation), uncertainty)
    pairs = [(edge, a, b) for edge, (a, b) in enumerate(graph["pair"].tolist()) if a not in unfit and b not in unfit]
    with atomic_write(out / "matches.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for edge, a, b in progress(pairs, "matches"):
            match = graph["match"][slice(*graph["match_offset"][edge : edge + 2])]
            matches = np.full(counts[a], -1, np.int16 if counts[b] < 1 << 15 else np.int32)
            matches[match[:, 0]] = match[:, 1]
            group = file.create_group(f"{_flat(names[a])}/{_flat(names[b])}")
            group.create_dataset("matches0", data=matches)
            group.create_dataset("matching_scores0", data=(matches >= 0).astype(np.float16))
    write_bytes(out / "pairs.txt", "".join(f"{names[a]} {names[b]}\n" for _, a, b in pairs).encode())
    lost = len(graph["pair"]) - len(pairs)
    return Exported(len(rows), len(pairs), lost, [f"{names[row]}: {reason}" for row, reason in unfit.items()])


def _write_features(group, xy, descriptor, size, uncertainty):
    strength = 1 / (1 + np.arange(len(xy)))  # features come in the order of falling strength
    group.create_dataset("keypoints", data=xy.astype(np.float32)).attrs["uncertainty"] = uncertainty
    group.create_dataset("descriptors", data=(descriptor.T / DESCRIPTOR_SCALE).astype(np.float16))
    group.create_dataset("scores", data=strength.astype(np.float16))
    group.create_dataset("image_size", data=np.array(size))


def _unfit_names(names):
    """Row to why hloc would misread its name: it separates two names by a blank in a list of pairs, and knows them by flat names in a file
    of matches.
    """
    known, unfit = {}, {}
    for row, name in enumerate(names):
        if " " in name or not name.isprintable():
            unfit[row] = "has a blank or a control character, at which hloc would cut its list of pairs"
        elif (other := known.setdefault(_flat(name), name)) != name:
            unfit[row] = f"hloc does not tell it from {other}"
    return unfit


def _flat(name):
    """hloc's name of a photo within the name of a pair."""
    return name.replace("/", "-")
