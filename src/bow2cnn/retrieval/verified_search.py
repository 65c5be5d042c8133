"""The teacher's answer to one query: plain ranking, spatial verification, query expansion."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bow2cnn.index.engine import Engine, QuantisedFeatures

_DOUBLING_INLIERS = 8  # this number of verified inliers doubles a photo's score
# Number of inliers from which geometry counts in a ranking: an affine transform fits any three matches. To call a photo verified takes more
# (see `bow2cnn.retrieval.calibration`).
MIN_EVIDENCE = 4


class Ranking(NamedTuple):
    """A ranking.

    Attributes:
        photo: rows of the index, best first, int64 [r].
        score: by which the photos are ordered, never rising, float32 [r].
        inliers: numbers of verified inliers, int32 [r]; 0 for photos outside the shortlist.
    """

    photo: np.ndarray
    score: np.ndarray
    inliers: np.ndarray


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


def confirmed_first(verified: Ranking, again: Ranking, min_inliers: int) -> Ranking:
    """Join two rankings: first the photos that the query itself confirms, then the other photos in the order of the expanded query. So an
    expansion by things that many photos show does not move a right answer back.

    Scores of different queries are comparable up to a factor only. Where scores of the expanded query would exceed the last confirmed one,
    all of them are scaled down, so that scores never rise in the joined ranking.

    Args:
        verified: ranking of the query, verified.
        again: ranking of the expanded query, verified.
        min_inliers: number of inliers from which the query confirms a photo.
    """
    first = verified.inliers >= min_inliers
    rest = ~np.isin(again.photo, verified.photo[first])
    before, after = (Ranking(*(column[kept] for column in ranking)) for ranking, kept in ((verified, first), (again, rest)))
    if len(before.photo) and len(after.photo):
        last, best = before.score[-1], after.score[0]
        after = after._replace(score=np.minimum(after.score * min(last / best, 1), last).astype(np.float32))
    return Ranking(*(np.concatenate(columns) for columns in zip(before, after, strict=True)))


def expand(
    engine: Engine,
    query: QuantisedFeatures,
    verified: Ranking,
    transforms: Mapping[int, np.ndarray],
    max_expansion: int,
    expansion_inliers: int,
) -> list[QuantisedFeatures]:
    """Expand a query by the words of its best verified photos, projected into the query by the transforms (Chum et al., Total recall,
    ICCV 2007). Words that fall outside the query are left out.

    Args:
        engine: the index.
        query: the query.
        verified: its verified ranking.
        transforms: from the query to each photo, float64 [2, 3], by photo.
        max_expansion, expansion_inliers: see `search`.

    Returns:
        the query, and the words of each photo in the frame of the query.
    """
    chosen = verified.photo[verified.inliers >= expansion_inliers][:max_expansion].tolist()
    return [query, *(_project_back(engine.words(photo), transforms[photo], query) for photo in chosen)]


def join(parts: Sequence[QuantisedFeatures]) -> QuantisedFeatures:
    """The words of several photos, all in the frame of the first, as those of one photo."""
    names = ("word", "signature", "keypoint", "nearest")
    word, signature, keypoint, nearest = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    # Features of different photos get different numbers.
    numbers = np.cumsum([0, *(part.feature.max(initial=-1) + 1 for part in parts[:-1])])
    feature = np.concatenate([part.feature + number for part, number in zip(parts, numbers, strict=True)])
    order = np.argsort(word, kind="stable")
    return QuantisedFeatures(word[order], signature[order], keypoint[order], feature[order], parts[0].size, nearest[order])


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


def _project_back(words, transform, query):
    """The words of a photo in the frame of the query, only those inside the bounding box of the query's features."""
    inverse = np.linalg.inv(transform[:, :2])
    xy = (words.keypoint[:, :2] - transform[:, 2]) @ inverse.T
    low, high = query.keypoint[:, :2].min(0), query.keypoint[:, :2].max(0)
    inside = ((xy >= low) & (xy <= high)).all(1)
    frames = (inverse @ words.keypoint[inside, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    keypoint = np.concatenate([xy[inside], frames], 1).astype(np.float32)
    return QuantisedFeatures(words.word[inside], words.signature[inside], keypoint, words.feature[inside], query.size)
