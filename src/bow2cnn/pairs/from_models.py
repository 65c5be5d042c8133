"""Training pairs of 3D models: for each query a pool of positives with their evidence, and the rule of negatives.

Radenovic, Tolias, Chum, Fine-tuning CNN image retrieval with no human annotation, TPAMI 2018, section 3.3.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.same_photos import check_photos
from bow2cnn.pairs.background import add_background, draw, find_uncertain_pairs
from bow2cnn.pairs.evidence import Evidence
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found, need_places
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION

_NO_CLUSTERS = {"cut/pair": np.zeros((0, 2), np.int32)}


def mine_pairs(
    models: str | Path,
    split: str | Path,
    collection: str | Path,
    min_shared: int,
    nearest_cameras: int,
    max_queries: int,
    query_fraction: float,
    background_max_inliers: int,
    max_background: int,
    validation: float,
    shortlist: int,
    max_hamming: int,
    seed: int,
    threads: int,
    graph: str | Path | None = None,
    clusters: str | Path | None = None,
    index: str | Path | None = None,
) -> Found:
    """Find the pairs of 3D models.

    Args:
        models, split, collection: paths of the artefacts.
        min_shared: common 3D points of a positive.
        nearest_cameras: number of photos with the nearest cameras that may be positives of a query.
        max_queries, query_fraction: largest number, and largest share, of a model's photos that are queries.
        background_max_inliers: a background photo is not a negative of a place if the teacher finds more inliers than this between it and a
            photo of the place. Such pairs are the uncertain pairs (`weak`).
        max_background: maximum number of background photos that are used, drawn at random. Each of them is a query of the teacher.
        validation: share of the background photos on the side of validation.
        shortlist: number of photos that are verified with each background photo.
        max_hamming: see `Engine`.
        seed: of all random choices.
        threads: worker threads; the result does not depend on their number.
        graph, clusters, index: paths of the artefacts; None for imported models. Then nothing says what the photos outside the models
            show, and they are not used.

    Returns:
        The pairs.

    Raises:
        EmptyStageError: fewer than two places are for training, so that there are no negatives; or no photo has a positive.
        ArtefactError: an input cannot be used, or is of other photos than the models.
    """
    check_photos(models, split, collection, *(path for path in (graph, clusters, index) if path))
    built = artefact.read(models, "models")
    sides = artefact.read(split, "split", ["side", "place", "contaminated"])
    train, validate, dropped = (len(np.unique(sides["place"][sides["side"] == side])) for side in (TRAIN, VALIDATION, DROPPED))
    need_places(train, validate, dropped, "the places with a 3D model")
    edges = artefact.read(graph, "graph", ["pair", "inliers"]) if graph else None
    found = artefact.read(clusters, "clusters", ["cluster", "cut/pair"]) if clusters else _NO_CLUSTERS | {"cluster": built["model"]}
    cluster = found["cluster"].astype(np.int32)
    place, side = assign_places(built["model"], sides)
    usable = _background_rows(cluster, edges["pair"], index, sides["contaminated"]) if edges and index else np.zeros(0, int)
    background = draw(usable, max_background, [seed, 7])
    add_background(place, side, background, validation, seed)
    photos = artefact.read(collection, "collection", ["width", "height"])
    evidence = Evidence(built, edges, np.stack([photos["width"], photos["height"]], axis=1))
    queries = []
    for model in np.flatnonzero(sides["side"] != DROPPED).tolist():
        queries += _queries_of(evidence, built, model, min_shared, nearest_cameras, max_queries, query_fraction, seed)
    if not any(side[query] == TRAIN for query, _, _ in queries):
        raise EmptyStageError(
            f"pairs: no two photos of a training model share {min_shared} 3D points (pairs.min_shared), so there is no positive to train "
            "on; lower pairs.min_shared, or add photos that overlap more"
        )
    uncertain_pairs = find_uncertain_pairs(index, background, shortlist, background_max_inliers, max_hamming, threads)
    rule = NegativeRule(place, cluster, side, uncertain_pairs, found["cut/pair"])
    rows, pools, positives = ([query[part] for query in queries] for part in range(3))
    params = {"min_shared": min_shared, "nearest_cameras": nearest_cameras, "seed": seed}
    return Found(np.array(rows, np.int64), pools, rule, build_validation(rule, rows, positives), params)


def assign_places(model: np.ndarray, sides: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Give every photo the place and the side of its model.

    Args:
        model: int32 [n], of every photo, -1 for none.
        sides: `place` int32 [m] and `side` int8 [m] of every model.

    Returns:
        place, int32 [n], and side, int8 [n]; -1 and 0 for a photo that is in no model, or in a dropped one.
    """
    registered = model >= 0
    place = np.full(len(model), -1, np.int32)
    side = np.zeros(len(model), np.int8)
    place[registered] = sides["place"][model[registered]]
    side[registered] = sides["side"][model[registered]]
    place[side == DROPPED] = -1
    return place, side


def _background_rows(cluster, pairs, index, contaminated):
    """The usable background photos: without a verified pair, and not matching a benchmark's photo. A photo without words is not used: it is
    blank, or cannot be read.
    """
    with artefact.Reader(index, "index") as reader:
        without_words = np.diff(reader["offset"]) == 0
    return np.setdiff1d(np.flatnonzero((cluster < 0) & ~without_words & ~contaminated), pairs)


def _queries_of(evidence, built, model, min_shared, nearest_cameras, max_queries, query_fraction, seed):
    """(query, pool, positives in validation) for the queries of one model: all photos with a matched positive, up to the limits."""
    start, stop = built["photo_offset"][model : model + 2]
    own = [view for view in range(start, stop) if built["model"][built["photo"][view]] == model]
    usable = [view for view in own if evidence.is_matched(view, own, min_shared, nearest_cameras)]
    limit = min(max_queries, max(1, round(len(own) * query_fraction)))
    usable = draw(np.array(usable, int), limit, [seed, 6, model]).tolist()
    return [
        (int(built["photo"][view]), evidence.pool(view, own, min_shared, nearest_cameras), evidence.sharing(view, own, min_shared))
        for view in usable
    ]
