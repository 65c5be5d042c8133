"""Query expansion by verified photos (Chum et al., Total recall, ICCV 2007)."""

from collections.abc import Mapping, Sequence

import numpy as np

from bow2cnn.index.engine import Engine, QuantisedFeatures
from bow2cnn.retrieval.ranking import Ranking


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


def _project_back(words, transform, query):
    """The words of a photo in the frame of the query, only those inside the bounding box of the query's features."""
    inverse = np.linalg.inv(transform[:, :2])
    xy = (words.keypoint[:, :2] - transform[:, 2]) @ inverse.T
    low, high = query.keypoint[:, :2].min(0), query.keypoint[:, :2].max(0)
    inside = ((xy >= low) & (xy <= high)).all(1)
    frames = (inverse @ words.keypoint[inside, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    keypoint = np.concatenate([xy[inside], frames], 1).astype(np.float32)
    return QuantisedFeatures(words.word[inside], words.signature[inside], keypoint, words.feature[inside], query.size)
