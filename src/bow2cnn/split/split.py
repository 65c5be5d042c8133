"""Train and validation sides: models of one place stay together, what shows a benchmark's place is dropped."""

import logging

import networkx as nx
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.split.sides import DROPPED, SIDES, TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")
_IN_DOUBT = "dropped: a cut pair leaves it in doubt whether it shows the same as a place that validates"


def split_models(models, contamination, out, validation, seed, graph=None, clusters=None):
    """Write the `split` artefact: the side of every model, and which photos match one of a benchmark, in a model or not.

    Models are one place when they share a photo or when a verified pair joins them that was not cut; two sides of a building that share
    nothing count as different places, as in the paper (Radenovic, Tolias, Chum, TPAMI 2018, section 3.2). A pair that was cut leaves them
    two places, but in doubt: they go to one side (see `choose_sides`).

    Args:
        models: path.
        graph, clusters: paths; None for models that the teacher has not built, which are one place when they share a photo.
        contamination: benchmark name to path of its `find_contamination` artefact.
        validation: fraction of the places for validation; at least one when there are two.
    """
    check_photos(models, *(path for path in (graph, clusters) if path), *contamination.values())
    arrays = artefact.read(models, "models", ["model", "photo_offset", "photo"])
    members = [arrays["photo"][a:b] for a, b in zip(arrays["photo_offset"][:-1], arrays["photo_offset"][1:], strict=True)]
    kept, cut = _verified(graph, clusters)
    place = find_places(members, kept)
    doubt = find_doubt(members, place, cut)
    shown = {name: _shown(path, len(arrays["model"])) for name, path in sorted(contamination.items())}
    reasons = _contaminated(members, place, shown)
    side = choose_sides(members, place, set(reasons), validation, seed, doubt)
    reason = [reasons.get(p, _IN_DOUBT if side[m] == DROPPED else SIDES[side[m]]) for m, p in enumerate(place)]
    contaminated = sum(shown.values(), np.zeros(len(arrays["model"]), np.int32)) > 0
    arrays = {"side": side, "place": place, "doubt": doubt, "reason": reason, "contaminated": contaminated, **photos_of(models)}
    artefact.write(out, "split", arrays, {"validation": validation, "seed": seed})


def _verified(graph, clusters):
    """The verified pairs that were kept, int [e, 2], and those that were cut, int [d, 2]."""
    if not graph:
        return np.zeros((0, 2), np.int32), np.zeros((0, 2), np.int32)
    pairs, cut = artefact.read(graph, "graph", ["pair"])["pair"], artefact.read(clusters, "clusters", ["cut/pair"])["cut/pair"]
    return without(pairs, cut), cut


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
    """Photo to the models that have it."""
    models_of = {}
    for model, photos in enumerate(members):
        for photo in photos.tolist():
            models_of.setdefault(photo, []).append(model)
    return models_of


def find_doubt(members, place, cut):
    """Pairs of different places whose photos a cut pair joins, int32 [d, 2], first < second, sorted.

    Args:
        members: photos of every model.
        place: int32 [m] per model.
        cut: int32 [e, 2] pairs of photos.
    """
    models_of = _models_of(members)
    found = {(place[m], place[n]) for a, b in cut.tolist() for m in models_of.get(a, ()) for n in models_of.get(b, ())}
    return np.array(sorted({(min(pair), max(pair)) for pair in found if pair[0] != pair[1]}), np.int32).reshape(-1, 2)


def find_components(places, doubt):
    """Sets of places that stay on one side: those that pairs in doubt link, one after the other.

    Args:
        places: the places in question; others link nothing.
        doubt: int [d, 2] pairs of places.
    """
    linked = nx.Graph(doubt.tolist()).subgraph(places).copy()
    linked.add_nodes_from(places)
    return list(nx.connected_components(linked))


def choose_sides(members, place, dropped, validation, seed, doubt=None):
    """Side of every model, int8 [m].

    Places that doubt links stay together. Such components are sorted by photos and one of each run of 1 / validation is drawn for
    validation, so that both sides get large and small ones. A component with more than half of all photos always trains: in a large
    collection wrong pairs may link most places. If it is the only component, a single place validates and those in direct doubt of it are
    dropped (see `_separate`).

    Args:
        members: photos of every model.
        place: int32 [m] per model.
        dropped: set of places.
        validation: fraction of the components for validation.
        doubt: int32 [d, 2] pairs of places, or None.
    """
    doubt = np.zeros((0, 2), np.int32) if doubt is None else doubt
    photos = np.bincount(place, [len(m) for m in members], minlength=int(place.max(initial=-1)) + 1)
    usable = [p for p in range(len(photos)) if p not in dropped]
    side = np.full(len(photos), DROPPED, np.int8)
    side[usable] = TRAIN
    components = find_components(usable, doubt)
    size = {min(component): photos[list(component)].sum() for component in components}
    components.sort(key=lambda component: (-size[min(component)], min(component)))
    eligible = [component for component in components if 2 * size[min(component)] <= photos[usable].sum()]
    count = min(len(components) - 1, len(eligible), max(1, round(len(components) * validation)))
    if count > 0:
        rng = np.random.default_rng([seed, 4])
        for run in np.array_split(np.arange(len(eligible)), count):
            side[list(eligible[rng.choice(run)])] = VALIDATION
    elif len(usable) > 1:
        _separate(side, photos, usable, doubt)
    return side[place] if len(place) else np.zeros(0, np.int8)


def _separate(side, photos, usable, doubt):
    """Split a single component of doubt, in place: the place validates that costs the training the fewest photos, its own and those of the
    places in direct doubt of it, which are dropped. At least two places have to be left to train on; else nothing validates.
    """
    near = {p: {p, *doubt[(doubt == p).any(1)].ravel().tolist()} & set(usable) for p in usable}
    cheapest = min((p for p in usable if len(near[p]) <= len(usable) - 2), key=lambda p: (photos[list(near[p])].sum(), p), default=None)
    if cheapest is None:
        _LOG.warning("split: all %d places are in doubt of each other, so that none of them validates", len(usable))
        return
    side[list(near[cheapest])] = DROPPED
    side[cheapest] = VALIDATION


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
