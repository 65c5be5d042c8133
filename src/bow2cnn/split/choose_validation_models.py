"""Which places, and so which 3D models, train and which validate."""

import logging
from collections.abc import Collection, Sequence

import networkx as nx
import numpy as np

from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION

_LOG = logging.getLogger("bow2cnn")


def find_components(places: Collection[int], doubt: np.ndarray) -> list[set[int]]:
    """Group the places that stay on one side because doubt joins them, directly or through other places.

    Args:
        places: the usable places; other places join nothing.
        doubt: int [d, 2] pairs of places.

    Returns:
        Sets of places; a place without doubt is in a set of its own.
    """
    linked = nx.Graph(doubt.tolist()).subgraph(places).copy()
    linked.add_nodes_from(places)
    return list(nx.connected_components(linked))


def choose_sides(
    members: Sequence[np.ndarray],
    place: np.ndarray,
    dropped: Collection[int],
    validation: float,
    seed: int,
    doubt: np.ndarray | None = None,
) -> np.ndarray:
    """Choose the side of every model.

    Places that doubt joins stay together as a component. The components are sorted by their numbers of photos, and one of each run of
    1 / validation components is drawn for validation, so that both sides get large and small ones. A component with more than half of all
    photos is always for training: in a large collection wrong pairs may join most places. If there is no other component, a single place
    validates, and the places in direct doubt of it are dropped (see `_separate`).

    Args:
        members: int [k], the photos of every model.
        place: int32 [m], of every model.
        dropped: places that are not used.
        validation: fraction of the components for validation.
        seed: of the random choice.
        doubt: int32 [d, 2] pairs of places, or None.

    Returns:
        int8 [m], the side of every model.
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
    """Split a single component of doubt; `side` is changed in place.

    One place validates, and the places in direct doubt of it are dropped. It is the place with which the training loses the fewest photos.
    At least two places have to be left for training; otherwise no place validates.
    """
    near = {p: {p, *doubt[(doubt == p).any(1)].ravel().tolist()} & set(usable) for p in usable}
    cheapest = min((p for p in usable if len(near[p]) <= len(usable) - 2), key=lambda p: (photos[list(near[p])].sum(), p), default=None)
    if cheapest is None:
        _LOG.warning("split: all %d places are in doubt of each other, so none of them is for validation", len(usable))
        return
    side[list(near[cheapest])] = DROPPED
    side[cheapest] = VALIDATION
