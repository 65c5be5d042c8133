"""Positives that no feature matched: photos whose cameras see the points of a query, by night, in another season, at another scale."""

from collections.abc import Mapping

import numpy as np

from bow2cnn.pairs.positives import matched
from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.picture import picture
from bow2cnn.report.sections.tuples import evidence_text
from bow2cnn.run.run import Run

_SOURCE = "models"  # the only source of pairs that knows the cameras
_QUERIES, _EACH = 8, 4  # queries that are shown, one per place, and photos of each
_FEW = 0.05  # share of the points of the query that a hardly matched photo has in common with it at most
# The defaults of the keys `positives_visible` and `positives_scale` of an experiment.
VISIBLE, SCALE = 0.5, 1.5


def unmatched(run: Run, thumbs: ThumbnailCache) -> dict | None:
    """How many queries have such positives, and some of them; None if there are none, or if no source of the run tells.

    Args:
        run: the run.
        thumbs: draws the photos.
    """
    if _SOURCE not in run.sources:
        return None
    positives = run.positives(_SOURCE, unmatched=True)
    found = [(query, pool, hard) for query, pool in zip(positives.query.tolist(), positives.pools, strict=True) if len(hard := _hard(pool))]
    if not found:
        return None
    place = run.negatives(_SOURCE).place
    rows = [_row(run, thumbs, *query) for query in _one_per_place(found, place)]
    without = sum(len(pool["photo"]) - len(matched(pool)["photo"]) for pool in positives.pools)
    return {"rows": rows, "queries": len(positives.query), "with": len(found), "without": without, "few": _FEW}


def _hard(pool: Mapping[str, np.ndarray]):
    """Candidates that `positives: geometry` takes by its defaults and that features hardly match; those with fewest common points first."""
    good = (pool["visible"] > VISIBLE) & (pool["scale"] <= SCALE) & (pool["overlap"] <= _FEW)
    return np.flatnonzero(good)[np.argsort(pool["overlap"][good], kind="stable")]


def _one_per_place(found, place):
    """Of every place the query with most such positives; those of the largest number first."""
    ordered = sorted(found, key=lambda query: -len(query[2]))
    first = {}
    for query in ordered:
        first.setdefault(int(place[query[0]]), query)
    return list(first.values())[:_QUERIES]


def _row(run, thumbs, query, pool, hard):
    shown = hard[:_EACH].tolist()
    photos = [{**picture(run.photos, thumbs, pool["photo"][number]), "evidence": evidence_text(pool, number)} for number in shown]
    return {"query": picture(run.photos, thumbs, query), "photos": photos}
