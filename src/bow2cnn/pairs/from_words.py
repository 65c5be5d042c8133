"""Pairs by ranks of the index by visual words, without geometry, clusters and 3D models.

Two photos are a pair if each is among the best results of the other. Photos that pairs join, directly or through other photos, are a place.
Nothing verifies such a pair, so these places are less certain than those of 3D models. This source shows the minimum that a training needs,
and is a baseline for the other sources.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bow2cnn.core import artefact
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos
from bow2cnn.index.engine import Engine
from bow2cnn.pairs.background import add_background, draw
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found, need_places
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.split.choose_validation_models import choose_sides
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION

BEST = 5  # number of best results that may form a pair with a photo


def pair_by_words(
    index: str | Path,
    contaminations: Sequence[str | Path],
    validation: float,
    max_hamming: int,
    max_background: int,
    seed: int,
    threads: int,
) -> Found:
    """Find pairs of photos by their ranks.

    A place is not used if one of its photos matches a benchmark's photo. Photos without a pair are background photos: each has a place of
    its own. Photos without words are not used, because they may be unreadable.

    Args:
        index: path of the `index` artefact.
        contaminations: paths of the artefacts of `find_contamination`, one for every benchmark.
        validation: share of the places, and of the background photos, on the side of validation.
        max_hamming: see `Engine`.
        max_background: maximum number of background photos that are used, drawn at random.
        seed: of all random choices.
        threads: worker threads; the result does not depend on their number.

    Returns:
        The pairs.

    Raises:
        EmptyStageError: fewer than two places are for training, so that there are no negatives.
        ArtefactError: an input cannot be used, or is of other photos than the index.
    """
    check_photos(index, *contaminations)
    engine = Engine.load(index, max_hamming)
    with artefact.Reader(index, "index") as reader:
        photos = np.flatnonzero(np.diff(reader["offset"]) > 0)
    pools = _mutual(_best(engine, photos, threads))
    members = _components(pools, len(engine))
    contaminated = _contaminated(contaminations, len(engine))
    dropped = {number for number, rows in enumerate(members) if contaminated[rows].any()}
    sides = choose_sides(members, np.arange(len(members)), dropped, validation, seed)
    train, validate = (int(np.count_nonzero(sides == side)) for side in (TRAIN, VALIDATION))
    need_places(train, validate, len(dropped), "the places that photos make by their words")
    place, side = np.full(len(engine), -1, np.int64), np.zeros(len(engine), np.int64)
    for number in np.flatnonzero(sides != DROPPED).tolist():
        place[members[number]], side[members[number]] = number, sides[number]
    cluster = place.copy()
    background = np.setdiff1d(photos[~contaminated[photos]], np.concatenate(members))
    add_background(place, side, draw(background, max_background, [seed, 7]), validation, seed)
    rule = NegativeRule(place, cluster, side)
    queries = [row for row in sorted(pools) if cluster[row] >= 0]
    chosen = [{"photo": pools[row]} for row in queries]
    truth = build_validation(rule, queries, [pool["photo"] for pool in chosen])
    return Found(np.array(queries, np.int64), chosen, rule, truth, {"best": BEST, "seed": seed})


def _best(engine, photos, threads):
    """Photo to its best results without itself, int64, best first."""

    def ask(photo):
        found, _ = engine.rank(engine.words(photo), BEST + 1)
        return found[found != photo][:BEST]

    with thread_pool(threads) as pool:
        found = list(progress(pool.map(ask, photos.tolist()), "words", len(photos)))
    return dict(zip(photos.tolist(), found, strict=True))


def _mutual(best):
    """Photo to those of its best results that have it among their own best results; photos without such results are left out."""
    sets = {row: set(found.tolist()) for row, found in best.items()}
    kept = {row: np.array([other for other in found.tolist() if row in sets.get(other, ())], np.int64) for row, found in best.items()}
    return {row: others for row, others in kept.items() if len(others)}


def _components(pools, count):
    """The places: rows that pairs join, int64 arrays in the order of their first rows."""
    first = np.repeat(np.array(list(pools), np.int64), [len(others) for others in pools.values()])
    second = np.concatenate([np.zeros(0, np.int64), *pools.values()])
    _, label = connected_components(coo_matrix((np.ones(len(first), bool), (first, second)), (count, count)), directed=False)
    rows = np.array(sorted(pools), np.int64)
    labels = label[rows]
    found = [rows[labels == own] for own in np.unique(labels)]
    return sorted(found, key=lambda members: members[0])


def _contaminated(contaminations, count):
    """The photos that match a benchmark's photo, bool [count]."""
    contaminated = np.zeros(count, bool)
    for path in contaminations:
        contaminated[artefact.read(path, "ranking", ["verified/photo"])["verified/photo"]] = True
    return contaminated
