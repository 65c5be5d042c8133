"""The teacher's answer to one query: plain ranking, spatial verification, query expansion."""

from typing import NamedTuple

import numpy as np

from bow2cnn.index.engine import QuantisedFeatures

_DOUBLING_INLIERS = 8  # so many verified inliers double a photo's score
# Inliers from which geometry counts in a ranking: an affine transform fits any three matches. A claim that a photo is verified needs more.
EVIDENCE = 4


class Ranking(NamedTuple):
    """Photos int64 [r] best first, the scores float32 [r] that order them (never rising), and verified inliers int32 [r]."""

    photo: np.ndarray
    score: np.ndarray
    inliers: np.ndarray


def search(engine, query, shortlist, min_inliers, max_expansion, expansion_inliers):
    """Rank an index for a query, each step with what the one before found.

    Args:
        engine: `Engine`.
        query: `QuantisedFeatures` of the query (of its region only, where there is one).
        shortlist: photos that are verified.
        min_inliers: fewer verified inliers than so many count for nothing.
        max_expansion: the best verified photos, at most, whose words expand the query; `expansion_inliers`: that they need for it.

    Returns:
        dict of `Ranking`: `plain`, `sv` (the shortlist ordered by words and geometry), `sv+qe` (the expanded query, verified again,
        behind the photos of which the query itself is sure).
    """
    plain = Ranking(*engine.rank(query, len(engine)), np.zeros(0, np.int32))
    plain = plain._replace(inliers=np.zeros(len(plain.photo), np.int32))
    verified, transforms = _verify(engine, query, plain, shortlist, min_inliers)
    parts = expand(engine, query, verified, transforms, max_expansion, expansion_inliers)
    if len(parts) == 1:
        return {"plain": plain, "sv": verified, "sv+qe": verified}
    again = Ranking(*engine.rank(query, len(engine), parts[1:]), np.zeros(0, np.int32))
    again, _ = _verify(engine, join(parts), again, shortlist, min_inliers)
    return {"plain": plain, "sv": verified, "sv+qe": sure_first(verified, again, expansion_inliers)}


def sure_first(verified, again, sure):
    """The ranking of the expanded query behind the photos of which the query itself is sure: an expansion by something that many photos
    show must not push the one right answer back.

    A query's scores are its own up to a factor. Where those of the expanded query would rise above the last sure one, they are all scaled
    down to it, so that one column orders the whole ranking.
    """
    first = verified.inliers >= sure
    rest = ~np.isin(again.photo, verified.photo[first])
    before, after = (Ranking(*(column[kept] for column in ranking)) for ranking, kept in ((verified, first), (again, rest)))
    if len(before.photo) and len(after.photo):
        last, best = before.score[-1], after.score[0]
        after = after._replace(score=np.minimum(after.score * min(last / best, 1), last).astype(np.float32))
    return Ranking(*(np.concatenate(columns) for columns in zip(before, after, strict=True)))


def expand(engine, query, verified, transforms, max_expansion, expansion_inliers):
    """The query, and the words of its best verified photos that fall into it when they are projected back (Chum et al., Total recall,
    ICCV 2007: the transform brings every result into the frame of the query): a list of `QuantisedFeatures`."""
    chosen = verified.photo[verified.inliers >= expansion_inliers][:max_expansion].tolist()
    return [query, *(_project_back(engine.words(photo), transforms[photo], query) for photo in chosen)]


def join(parts):
    """The `QuantisedFeatures` of several photos that are seen in the frame of the first as those of one."""
    names = ("word", "signature", "keypoint", "nearest")
    word, signature, keypoint, nearest = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    numbers = np.cumsum([0, *(part.feature.max(initial=-1) + 1 for part in parts[:-1])])  # features of different photos stay apart
    feature = np.concatenate([part.feature + number for part, number in zip(parts, numbers, strict=True)])
    order = np.argsort(word, kind="stable")
    return QuantisedFeatures(word[order], signature[order], keypoint[order], feature[order], parts[0].size, nearest[order])


def _verify(engine, query, ranking, shortlist, min_inliers):
    """The ranking with its shortlist ordered anew, and the transforms by photo.

    Photos with inliers enough are looked at again, so that none is verified by a mark that is printed on both (see `Engine.verify`). The
    score by words is multiplied by 1 + inliers / 8 (fewer than `min_inliers` count for nothing): inliers alone would forget all other
    evidence, and a photo with many features has some by chance.
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
    """Words of a result in the query's frame, only those inside the extent of the query's own features."""
    inverse = np.linalg.inv(transform[:, :2])
    xy = (words.keypoint[:, :2] - transform[:, 2]) @ inverse.T
    low, high = query.keypoint[:, :2].min(0), query.keypoint[:, :2].max(0)
    inside = ((xy >= low) & (xy <= high)).all(1)
    frames = (inverse @ words.keypoint[inside, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    keypoint = np.concatenate([xy[inside], frames], 1).astype(np.float32)
    return QuantisedFeatures(words.word[inside], words.signature[inside], keypoint, words.feature[inside], query.size)
