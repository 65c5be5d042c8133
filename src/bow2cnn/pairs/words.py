"""Pairs by ranks alone: photos that the index by visual words ranks high for each other. No geometry, no clusters, no 3D models.

Two photos are a pair when each is among the best results of the other. What pairs join is a place. Nothing verifies such a pair, so places
are less sure than those of 3D models: this source shows what is least needed for a training, and is a baseline for those that know more.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bow2cnn.core import artefact
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos
from bow2cnn.index.engine import Engine
from bow2cnn.pairs.background import add_background, draw
from bow2cnn.pairs.found import Found, need_places
from bow2cnn.pairs.negatives import NegativeRule
from bow2cnn.pairs.validation import build_validation
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION
from bow2cnn.split.split import choose_sides

BEST = 5  # results of a photo that may be its pairs


def pair_by_words(index, contaminations, validation, max_hamming, max_background, seed, threads) -> Found:
    """The pairs of an index.

    A place with a photo that matches one of a benchmark is not used. Photos of no pair are background photos: each is a place of its own.
    A photo without words, which may be one that cannot be read, is not used.

    Args:
        index: path.
        contaminations: paths of what `find_contamination` found, one for every benchmark.
        validation: share of the places and of the background photos that validate.
        max_hamming: see `Engine`.
        max_background: maximum number of background photos that are used, drawn at random.
        seed: of all random choices.
        threads: worker threads; the result does not depend on it.

    Raises:
        EmptyStageError: fewer than two places are left to train on, so no photo could be a negative.
    """
    check_photos(index, *contaminations)
    engine = Engine.load(index, max_hamming)
    with artefact.Reader(index, "index") as reader:
        photos = np.flatnonzero(np.diff(reader["offset"]) > 0)
    pools = _mutual(_best(engine, photos, threads))
    members = _components(pools, len(engine))
    shown = _contaminated(contaminations, len(engine))
    dropped = {number for number, rows in enumerate(members) if shown[rows].any()}
    sides = choose_sides(members, np.arange(len(members)), dropped, validation, seed)
    train, validate = (int(np.count_nonzero(sides == side)) for side in (TRAIN, VALIDATION))
    need_places(train, validate, len(dropped), "the places that photos make by their words")
    place, side = np.full(len(engine), -1, np.int64), np.zeros(len(engine), np.int64)
    for number in np.flatnonzero(sides != DROPPED).tolist():
        place[members[number]], side[members[number]] = number, sides[number]
    cluster = place.copy()
    background = np.setdiff1d(photos[~shown[photos]], np.concatenate(members))
    add_background(place, side, draw(background, max_background, [seed, 7]), validation, seed)
    rule = NegativeRule(place, cluster, side)
    queries = [row for row in sorted(pools) if cluster[row] >= 0]
    chosen = [{"photo": pools[row]} for row in queries]
    truth = build_validation(rule, queries, [pool["photo"] for pool in chosen])
    return Found(np.array(queries, np.int64), chosen, rule, truth, {"best": BEST, "seed": seed})


def _best(engine, photos, threads):
    """Photo to its best results, itself left out, best first."""

    def ask(photo):
        found, _ = engine.rank(engine.words(photo), BEST + 1)
        return found[found != photo][:BEST]

    with thread_pool(threads) as pool:
        found = list(progress(pool.map(ask, photos.tolist()), "words", len(photos)))
    return dict(zip(photos.tolist(), found, strict=True))


def _mutual(best):
    """Photo to those of its best results that have it among theirs; photos without any are left out."""
    sets = {row: set(found.tolist()) for row, found in best.items()}
    kept = {row: np.array([other for other in found.tolist() if row in sets.get(other, ())], np.int64) for row, found in best.items()}
    return {row: others for row, others in kept.items() if len(others)}


def _components(pools, count):
    """Rows that pairs join, int64 arrays in the order of their first rows."""
    first = np.repeat(np.array(list(pools), np.int64), [len(others) for others in pools.values()])
    second = np.concatenate([np.zeros(0, np.int64), *pools.values()])
    _, label = connected_components(coo_matrix((np.ones(len(first), bool), (first, second)), (count, count)), directed=False)
    rows = np.array(sorted(pools), np.int64)
    labels = label[rows]
    found = [rows[labels == own] for own in np.unique(labels)]
    return sorted(found, key=lambda members: members[0])


def _contaminated(contaminations, count):
    """Photos that match one of a benchmark, bool [count]."""
    shown = np.zeros(count, bool)
    for path in contaminations:
        shown[artefact.read(path, "ranking", ["verified/photo"])["verified/photo"]] = True
    return shown
