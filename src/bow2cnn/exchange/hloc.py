"""Local features and verified pairs as hloc reads them: `features.h5`, `pairs.txt` and `matches.h5`."""

from pathlib import Path

import h5py
import numpy as np

from bow2cnn import artefact
from bow2cnn.features.sift import DESCRIPTOR_SCALE
from bow2cnn.features.store import FeatureStore
from bow2cnn.files import replacing, write_bytes
from bow2cnn.photos import check_photos, shards_of
from bow2cnn.progress import progress
from bow2cnn.text import printable


class UnfitName(ValueError):
    """A photo's name that hloc would misread; the message says which and why."""


def export_hloc(results, out):
    """Write what a run found for hloc.

    `features.h5` has a group per photo with `keypoints` float32 [N, 2] (the centre of the top left pixel at 0, 0), `descriptors` float16
    [128, N], `scores` and `image_size`; `pairs.txt` a line per verified pair; `matches.h5` of each pair `matches0` int16 [N] (int32 where
    the second photo has too many), its feature or -1, and `matching_scores0`.

    Args:
        results: the run's folder, whose stage `clusters` is done.
        out: folder.

    Returns:
        numbers of photos and of pairs.

    Raises:
        ArtefactError, WriteError.
        UnfitName: hloc would misread the name of a photo.
    """
    results, out = Path(results), Path(out)
    photos = artefact.read(results / "collection/collection.h5", "collection", ["path", "name", "width", "height"])
    names = photos["name"] if len(set(photos["name"])) == len(photos["name"]) else photos["path"]  # of several folders
    names = [printable(name.lstrip("/")) for name in names]
    _check_names(names)
    features, graph = shards_of(results, "features"), results / "discovery/graph.h5"
    check_photos(results / "collection/collection.h5", features, graph)
    graph = artefact.read(graph, "graph", ["pair", "match_offset", "match"])
    store = FeatureStore(features, capacity=0)
    counts = np.zeros(len(names), np.int64)
    with replacing(out / "features.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for row in progress(range(len(names)), "features"):
            keypoint, descriptor = store[row]
            counts[row] = len(keypoint)
            size = np.array([photos["width"][row], photos["height"][row]])
            _write_features(file.create_group(names[row]), keypoint, descriptor, size)
    with replacing(out / "matches.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for edge, (a, b) in enumerate(progress(graph["pair"].tolist(), "matches")):
            match = graph["match"][slice(*graph["match_offset"][edge : edge + 2])]
            matches = np.full(counts[a], -1, np.int16 if counts[b] < 1 << 15 else np.int32)
            matches[match[:, 0]] = match[:, 1]
            group = file.create_group(f"{_flat(names[a])}/{_flat(names[b])}")
            group.create_dataset("matches0", data=matches)
            group.create_dataset("matching_scores0", data=(matches >= 0).astype(np.float16))
    lines = [f"{names[a]} {names[b]}\n" for a, b in graph["pair"].tolist()]
    write_bytes(out / "pairs.txt", "".join(lines).encode())
    return len(names), len(lines)


def _write_features(group, keypoint, descriptor, size):
    strength = 1 / (1 + np.arange(len(keypoint)))  # features come in the order of falling strength
    group.create_dataset("keypoints", data=keypoint[:, :2] - 0.5)
    group.create_dataset("descriptors", data=(descriptor.T / DESCRIPTOR_SCALE).astype(np.float16))
    group.create_dataset("scores", data=strength.astype(np.float16))
    group.create_dataset("image_size", data=size)


def _check_names(names):
    """hloc separates two names by a blank in a list of pairs, and knows them by flat names in a file of matches."""
    known = {}
    for name in names:
        if " " in name:
            raise UnfitName(f"{name}: has a blank, at which hloc would cut its list of pairs; rename the photo")
        if (other := known.setdefault(_flat(name), name)) != name:
            raise UnfitName(f"{name}: hloc does not tell it from {other}; rename one of the two")


def _flat(name):
    """hloc's name of a photo within the name of a pair."""
    return name.replace("/", "-")
