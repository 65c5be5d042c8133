"""Training pairs: per query its pool of positives with the evidence, and which photos may serve as negatives.

Radenovic, Tolias, Chum, Fine-tuning CNN image retrieval with no human annotation, TPAMI 2018, section 3.3.
"""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.same_photos import check_photos
from bow2cnn.pairs.background import add_background, draw, find_weak_matches
from bow2cnn.pairs.evidence import Evidence
from bow2cnn.pairs.found import Found, need_places
from bow2cnn.pairs.negatives import NegativeRule
from bow2cnn.pairs.validation import build_validation
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION

_NO_CLUSTERS = {"cut/pair": np.zeros((0, 2), np.int32)}


def mine_pairs(
    models, split, min_shared, nearest_cameras, max_queries, query_fraction, background_max_inliers, max_background, validation, shortlist,
    max_hamming, seed, threads, graph=None, clusters=None, index=None,
):  # fmt: skip
    """The pairs of 3D models.

    Args:
        models, split: paths.
        graph, clusters, index: paths; None for models that the teacher has not built. Of photos outside these nobody knows what they
            show, so they are not used.
        min_shared: common 3D points of a positive.
        nearest_cameras: cameras considered for a query's pool of positives.
        max_queries, query_fraction: of a model's photos so many are queries at most.
        background_max_inliers: a background photo is not a negative of a place with one of whose photos the teacher finds more
            inliers than so many; what it finds is noted (`weak`).
        max_background: so many of these photos at most are used, drawn at random: the teacher is asked with each of them.
        validation: share of these photos on the validation side.
        shortlist, max_hamming: see `search` and `Engine`.

    Raises:
        EmptyStageError: fewer than two places are left to train on, so no photo could be a negative; or no photo has a positive.
    """
    check_photos(models, split, *(path for path in (graph, clusters, index) if path))
    built = artefact.read(models, "models")
    sides = artefact.read(split, "split", ["side", "place", "contaminated"])
    train, validate, dropped = (len(np.unique(sides["place"][sides["side"] == side])) for side in (TRAIN, VALIDATION, DROPPED))
    need_places(train, validate, dropped, "the places with a 3D model")
    edges = artefact.read(graph, "graph", ["pair", "inliers"]) if graph else None
    found = artefact.read(clusters, "clusters", ["cluster", "cut/pair"]) if clusters else _NO_CLUSTERS | {"cluster": built["model"]}
    group, side, cluster = assign_groups(built["model"], sides, found["cluster"])
    rows = _background_rows(cluster, edges["pair"], index, sides["contaminated"]) if index else np.zeros(0, int)
    background = draw(rows, max_background, [seed, 7])
    add_background(group, side, background, validation, seed)
    evidence = Evidence(built, edges)
    queries = []
    for model in np.flatnonzero(sides["side"] != DROPPED).tolist():
        queries += _queries_of(evidence, built, model, min_shared, nearest_cameras, max_queries, query_fraction, seed)
    if not any(side[query] == TRAIN for query, _, _ in queries):
        raise EmptyStageError(
            f"pairs: no two photos of a training model share {min_shared} 3D points (pairs.min_shared), so there is no positive to train "
            "on; lower pairs.min_shared, or add photos that overlap more"
        )
    weak = find_weak_matches(index, background, shortlist, background_max_inliers, max_hamming, threads)
    rule = NegativeRule(group, cluster, side, weak, found["cut/pair"])
    rows, pools, positives = ([query[part] for query in queries] for part in range(3))
    params = {"min_shared": min_shared, "nearest_cameras": nearest_cameras, "seed": seed}
    return Found(np.array(rows, np.int64), pools, rule, build_validation(rule, rows, positives), params)


def assign_groups(model, sides, cluster):
    """Group (place of the model), side and cluster of every photo; photos outside every usable model get group -1, side 0."""
    registered = model >= 0
    group = np.full(len(model), -1, np.int32)
    side = np.zeros(len(model), np.int8)
    group[registered] = sides["place"][model[registered]]
    side[registered] = sides["side"][model[registered]]
    group[side == DROPPED] = -1
    return group, side, cluster.astype(np.int32)


def _background_rows(cluster, pairs, index, contaminated):
    """Photos outside every cluster that nothing was verified with, no photo of a benchmark either. One without words is none: it is
    empty, or cannot be read.
    """
    with artefact.Reader(index, "index") as reader:
        silent = np.diff(reader["offset"]) == 0
    return np.setdiff1d(np.flatnonzero((cluster < 0) & ~silent & ~contaminated), pairs)


def _queries_of(evidence, built, model, min_shared, nearest_cameras, max_queries, query_fraction, seed):
    """(query, pool, validation positives) of one model's queries: every photo with a positive is one, up to the limits."""
    start, stop = built["photo_offset"][model : model + 2]
    own = [view for view in range(start, stop) if built["model"][built["photo"][view]] == model]
    usable = [view for view in own if len(evidence.candidates(view, own, min_shared, nearest_cameras)[0])]
    limit = min(max_queries, max(1, round(len(own) * query_fraction)))
    usable = draw(np.array(usable, int), limit, [seed, 6, model]).tolist()
    return [
        (int(built["photo"][view]), evidence.pool(view, own, min_shared, nearest_cameras), evidence.sharing(view, own, min_shared))
        for view in usable
    ]
