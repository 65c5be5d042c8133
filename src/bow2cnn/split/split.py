"""Train and validation sides: models of one place stay together, what shows a benchmark's place is dropped."""

import networkx as nx
import numpy as np

from bow2cnn import artefact
from bow2cnn.photos import check_photos, photos_of

DROPPED, TRAIN, VALIDATION = 0, 1, 2
SIDES = {DROPPED: "dropped", TRAIN: "training", VALIDATION: "validation"}


def split_models(models, contamination, out, validation, seed, graph=None, clusters=None):
    """Write the `split` artefact: the side of every model, and which photos match one of a benchmark, in a model or not.

    Models are one place when they share a photo or when a verified pair joins them that was not cut; two sides of a building that share
    nothing count as different places, as in the paper (Radenovic, Tolias, Chum, TPAMI 2018, section 3.2).

    Args:
        models: path.
        graph, clusters: paths; None for models that the teacher has not built, which are one place when they share a photo.
        contamination: benchmark name to path of its `find_contamination` artefact.
        validation: fraction of the places for validation; at least one when there are two.
    """
    check_photos(models, *(path for path in (graph, clusters) if path), *contamination.values())
    arrays = artefact.read(models, "models", ["model", "photo_offset", "photo"])
    members = [arrays["photo"][a:b] for a, b in zip(arrays["photo_offset"][:-1], arrays["photo_offset"][1:], strict=True)]
    place = find_places(members, _joining(graph, clusters))
    shown = {name: _shown(path, len(arrays["model"])) for name, path in sorted(contamination.items())}
    reasons = _contaminated(members, place, shown)
    side = choose_sides(members, place, set(reasons), validation, seed)
    reason = [reasons.get(p, SIDES[side[m]] if side[m] != DROPPED else "") for m, p in enumerate(place)]
    contaminated = sum(shown.values(), np.zeros(len(arrays["model"]), np.int32)) > 0
    arrays = {"side": side, "place": place, "reason": reason, "contaminated": contaminated, **photos_of(models)}
    artefact.write(out, "split", arrays, {"validation": validation, "seed": seed})


def _joining(graph, clusters):
    """The verified pairs that were not cut, int [e, 2]."""
    if not graph:
        return np.zeros((0, 2), np.int32)
    pairs, cut = artefact.read(graph, "graph", ["pair"])["pair"], artefact.read(clusters, "clusters", ["cut/pair"])["cut/pair"]
    return without(pairs, cut)


def without(pairs, cut):
    """Pairs int [m, 2] that are not among those that were cut."""
    cut = {frozenset(pair) for pair in cut.tolist()}
    return pairs[[frozenset(pair) not in cut for pair in pairs.tolist()]] if len(pairs) else pairs


def find_places(members, pairs):
    """Place of every model, int32 [m], numbered by their first model.

    Args:
        members: photos of every model.
        pairs: int32 [e, 2] verified pairs.
    """
    models_of = {}
    for model, photos in enumerate(members):
        for photo in photos.tolist():
            models_of.setdefault(photo, []).append(model)
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


def choose_sides(members, place, dropped, validation, seed):
    """Side of every model, int8 [m]: places are sorted by photos and one of each run of 1 / validation is drawn for validation,
    so that both sides get large and small ones."""
    photos = np.bincount(place, [len(m) for m in members], minlength=int(place.max(initial=-1)) + 1)
    usable = [p for p in np.lexsort((np.arange(len(photos)), -photos)).tolist() if p not in dropped]
    side = np.full(len(photos), DROPPED, np.int8)
    side[usable] = TRAIN
    count = min(len(usable) - 1, max(1, round(len(usable) * validation)))
    if count > 0:
        rng = np.random.default_rng([seed, 4])
        for run in np.array_split(usable, count):
            side[rng.choice(run)] = VALIDATION
    return side[place] if len(place) else np.zeros(0, np.int8)


def _shown(path, photos):
    """Inliers of every photo with the photo of a benchmark that it matches best, int32 [n]; 0 where it matches none."""
    found = artefact.read(path, "ranking", ["verified/photo", "verified/inliers"])
    strongest = np.zeros(photos, np.int32)
    np.maximum.at(strongest, found["verified/photo"], found["verified/inliers"])
    return strongest


def _contaminated(members, place, shown):
    """Reason per place that shows something of a benchmark."""
    reasons = {}
    for name, strongest in shown.items():
        for model, photos in enumerate(members):
            inliers = strongest[photos]
            if inliers.any():
                hits = np.count_nonzero(inliers)
                reasons.setdefault(int(place[model]), f"dropped: {hits} photos match benchmark {name}, with up to {inliers.max()} inliers")
    return reasons
