"""The teacher's answer to one query: plain ranking, spatial verification, query expansion."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bow2cnn.features.distances import distance_pool
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import PhotoFeatures, count_inliers
from bow2cnn.index.engine import Engine, QuantisedFeatures
from bow2cnn.index.photo_features import photo_features
from bow2cnn.retrieval.query_expansion import confirmed_first, expand, join
from bow2cnn.retrieval.ranking import Ranking

_DOUBLING_INLIERS = 8  # this number of verified inliers doubles a photo's score
# Number of inliers from which geometry counts in a ranking: an affine transform fits any three matches. To call a photo verified takes more
# (see `bow2cnn.retrieval.calibrate_inliers`).
MIN_EVIDENCE = 4


def search(
    engine: Engine, query: QuantisedFeatures, shortlist: int, min_inliers: int, max_expansion: int, expansion_inliers: int
) -> dict[str, Ranking]:
    """Rank the photos of an index for a query.

    Args:
        engine: the index.
        query: the words of the query (only those in its region, if it has one).
        shortlist: number of photos that are verified.
        min_inliers: number of verified inliers from which geometry counts.
        max_expansion: largest number of verified photos whose words expand the query; the best are taken.
        expansion_inliers: number of inliers that these photos need.

    Returns:
        rankings by name: `plain`; `sv`, with the shortlist ordered by words and geometry; `sv+qe`, the expanded query, verified again,
        after the photos that the query itself confirms (see `confirmed_first`).
    """
    plain = Ranking(*engine.rank(query, len(engine)), np.zeros(0, np.int32))
    plain = plain._replace(inliers=np.zeros(len(plain.photo), np.int32))
    verified, transforms = _verify(engine, query, plain, shortlist, min_inliers)
    parts = expand(engine, query, verified, transforms, max_expansion, expansion_inliers)
    if len(parts) == 1:
        return {"plain": plain, "sv": verified, "sv+qe": verified}
    again = Ranking(*engine.rank(query, len(engine), parts[1:]), np.zeros(0, np.int32))
    again, _ = _verify(engine, join(parts), again, shortlist, min_inliers)
    return {"plain": plain, "sv": verified, "sv+qe": confirmed_first(verified, again, expansion_inliers)}


def count_ranking_inliers(
    engine: Engine, store: FeatureStore, query: PhotoFeatures, ranking: Ranking, threads: int, part: float = 1.0
) -> NDArray[np.int32]:
    """Number of inliers by all features of each photo of a ranking, int32 [r]; 0 for photos whose words agree in no geometry.

    Args:
        engine: the index.
        store: the features of its photos.
        query: features of the query, or of a part of it.
        ranking: by `search`.
        threads: number of photos at the same time.
        part: see `verify_pair`.
    """
    rows = np.flatnonzero(ranking.inliers >= MIN_EVIDENCE)
    inliers = np.zeros(len(ranking.photo), np.int32)
    cv2.setNumThreads(1)
    with distance_pool(threads) as pool:
        inliers[rows] = list(
            pool.map(lambda photo: count_inliers(query, photo_features(engine, store, photo), part), ranking.photo[rows].tolist())
        )
    return inliers


def _verify(engine, query, ranking, shortlist, min_inliers):
    """The ranking with its shortlist reordered, and the transforms by photo.

    Photos with enough inliers are verified again without the matches of overlays (see `Engine.verify`). The score by words is multiplied by
    1 + inliers / 8, where fewer than `min_inliers` do not count. Inliers alone would ignore all other evidence, and a photo with many
    features has some by chance.
    """
    head = ranking.photo[:shortlist]
    inliers, transforms = engine.verify_all(query, head)
    for place in np.flatnonzero(inliers >= min_inliers).tolist():
        transforms[place], rows = engine.verify(query, head[place])
        inliers[place] = len(rows)
    all_inliers = np.zeros(len(ranking.photo), np.int32)
    all_inliers[: len(head)] = inliers
    counted = np.where(all_inliers >= min_inliers, all_inliers, 0)
    score = (ranking.score * (1 + counted / _DOUBLING_INLIERS)).astype(np.float32)
    order = np.argsort(-score, kind="stable")
    return Ranking(ranking.photo[order], score[order], all_inliers[order]), dict(zip(head.tolist(), transforms, strict=True))
