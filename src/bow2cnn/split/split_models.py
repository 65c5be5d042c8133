"""Put the places on the sides of training and validation, and drop the places that a benchmark shows.

All models of one place are on one side.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import networkx as nx
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.split.choose_validation_models import choose_sides
from bow2cnn.split.sides import DROPPED, SIDES

_LOG = logging.getLogger("bow2cnn")
_IN_DOUBT = "dropped: a cut pair leaves it in doubt whether it shows the same as a place that validates"


def split_models(
    models: str | Path,
    contamination: Mapping[str, str | Path],
    out: str | Path,
    validation: float,
    seed: int,
    graph: str | Path | None = None,
    clusters: str | Path | None = None,
) -> None:
    """Write the `split` artefact: the side of every model, and the photos of the collection that match a benchmark's photo.

    Models show one place if they have a common photo, or if a verified pair that was not cut joins them. Two sides of a building without
    common photos and pairs count as different places, as in the paper (Radenovic, Tolias, Chum, TPAMI 2018, section 3.2). A pair that was
    cut leaves two places, but they are in doubt and go to one side (see `choose_sides`).

    Args:
        models: path of the `models` artefact.
        contamination: name of a benchmark to the path of its `find_contamination` artefact.
        out: path of the artefact to write.
        validation: fraction of the places for validation; at least one if there are two.
        seed: of the random choice of places.
        graph, clusters: paths of the artefacts; None for imported models, which then show one place only if they have a common photo.

    Raises:
        ArtefactError: an input cannot be used, or is of other photos than the models.
        WriteError: the disk is full or not writable.
    """
    check_photos(models, *(path for path in (graph, clusters) if path), *contamination.values())
    arrays = artefact.read(models, "models", ["model", "photo_offset", "photo"])
    members = [arrays["photo"][a:b] for a, b in zip(arrays["photo_offset"][:-1], arrays["photo_offset"][1:], strict=True)]
    pairs, cut = _read_pairs(graph, clusters)
    place = find_places(members, pairs)
    doubt = find_doubt(members, place, cut)
    inliers = {name: _most_inliers(path, len(arrays["model"])) for name, path in sorted(contamination.items())}
    reasons = _contaminated_places(members, place, inliers)
    side = choose_sides(members, place, set(reasons), validation, seed, doubt)
    reason = [reasons.get(p, _IN_DOUBT if side[m] == DROPPED else SIDES[side[m]]) for m, p in enumerate(place)]
    contaminated = sum(inliers.values(), np.zeros(len(arrays["model"]), np.int32)) > 0
    arrays = {"side": side, "place": place, "doubt": doubt, "reason": reason, "contaminated": contaminated, **photos_of(models)}
    artefact.write(out, "split", arrays, {"validation": validation, "seed": seed})


def _read_pairs(graph, clusters):
    """The verified pairs that were not cut, int32 [e, 2], and those that were cut, int32 [d, 2]."""
    if not graph:
        return np.zeros((0, 2), np.int32), np.zeros((0, 2), np.int32)
    pairs, cut = artefact.read(graph, "graph", ["pair"])["pair"], artefact.read(clusters, "clusters", ["cut/pair"])["cut/pair"]
    return _without(pairs, cut), cut


def _without(pairs, cut):
    """The pairs, int [m, 2], that are not among the cut pairs, int [d, 2], in either order of their photos."""
    unwanted = {frozenset(pair) for pair in cut.tolist()}
    return pairs[[frozenset(pair) not in unwanted for pair in pairs.tolist()]] if len(pairs) else pairs


def find_places(members: Sequence[np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """Find the place of every model.

    Args:
        members: int [k], the photos of every model.
        pairs: int32 [e, 2], verified pairs of photos.

    Returns:
        int32 [m], a number for each model. Places are numbered in the order of their first models.
    """
    models_of = _models_of(members)
    linked = nx.Graph()
    linked.add_nodes_from(range(len(members)))
    for shared in models_of.values():
        nx.add_path(linked, shared)
    for a, b in pairs.tolist():
        linked.add_edges_from((m, n) for m in models_of.get(a, ()) for n in models_of.get(b, ()))
    place = np.zeros(len(members), np.int32)
    for number, component in enumerate(sorted(nx.connected_components(linked), key=min)):
        place[sorted(component)] = number
    return place


def _models_of(members):
    """Photo to the models in which it is registered."""
    models_of = {}
    for model, photos in enumerate(members):
        for photo in photos.tolist():
            models_of.setdefault(photo, []).append(model)
    return models_of


def find_doubt(members: Sequence[np.ndarray], place: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Find the pairs of different places that a cut pair joins.

    Args:
        members: int [k], the photos of every model.
        place: int32 [m], of every model.
        cut: int32 [e, 2], pairs of photos.

    Returns:
        int32 [d, 2] pairs of places, first < second, sorted.
    """
    models_of = _models_of(members)
    found = {(place[m], place[n]) for a, b in cut.tolist() for m in models_of.get(a, ()) for n in models_of.get(b, ())}
    return np.array(sorted({(min(pair), max(pair)) for pair in found if pair[0] != pair[1]}), np.int32).reshape(-1, 2)


def _most_inliers(path, photos):
    """Inliers of every photo with the benchmark photo that it matches best, int32 [n]; 0 if it matches none."""
    found = artefact.read(path, "ranking", ["verified/photo", "verified/inliers"])
    most = np.zeros(photos, np.int32)
    np.maximum.at(most, found["verified/photo"], found["verified/inliers"])
    return most


def _contaminated_places(members, place, inliers):
    """Place to the reason why it is dropped, for every place with photos that match a benchmark's photo."""
    reasons = {}
    for name, most in inliers.items():
        for model, photos in enumerate(members):
            own = most[photos]
            if own.any():
                hits = np.count_nonzero(own)
                reasons.setdefault(int(place[model]), f"dropped: {hits} photos match benchmark {name}, with up to {own.max()} inliers")
    return reasons
