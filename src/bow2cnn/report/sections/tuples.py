"""Training tuples: a query, its positive, and the hard negatives that the first and the last epoch mined for it."""

from collections.abc import Mapping

import numpy as np

from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.picture import picture
from bow2cnn.run.run import Run
from bow2cnn.training.augment import another_view

_SHOWN = 10  # tuples of all experiments together
_NEGATIVES = 10  # of a tuple
_EXEMPLARS = 2  # tuples besides, of each experiment, whose positive is a copy of the query


def tuples(run: Run, sources: Mapping[str, str], thumbs: ThumbnailCache) -> dict:
    """Some tuples of each experiment, spread over its queries.

    Args:
        run: the run.
        sources: experiment to the source of its pairs.
        thumbs: draws the photos.
    """
    each = max(3, _SHOWN // max(len(run.experiments), 1))
    return {"experiments": [{"name": name, **_tuples(run, thumbs, sources[name], run.history(name), each)} for name in run.experiments]}


def _tuples(run, thumbs, source, arrays, count):
    exemplar = arrays["negatives/query"] == arrays["negatives/positive"]
    query = np.where(exemplar, -1, arrays["negatives/query"])
    if query.size == 0:
        return {"rows": [], "epochs": 0, "hardness": [], "exemplars": 0, "evidence": False}
    first, last = 0, len(query) - 1
    common = np.setdiff1d(np.intersect1d(query[first], query[last]), -1)
    if len(common):
        places = [(int(np.flatnonzero(query[first] == row)[0]), int(np.flatnonzero(query[last] == row)[0])) for row in common]
    else:  # the epochs drew different queries, so only the last one can be shown
        first, places = last, [(place, place) for place in np.flatnonzero(query[last] >= 0).tolist()]
    picked = _one_per_place(run.negatives(source), [int(query[last][b]) for _, b in places], count)
    epochs = [first] if first == last else [first, last]
    rows = []
    for number in picked:
        at = dict(zip((first, last), places[number], strict=True))
        row, positive = int(query[last][at[last]]), int(arrays["negatives/positive"][last][at[last]])
        evidence = _evidence(run.positives(source, unmatched=True), row, positive)
        rows.append(
            {
                "query": picture(run.photos, thumbs, row),
                "positive": {**picture(run.photos, thumbs, positive), "evidence": evidence},
                "mined": [{"epoch": epoch + 1, "negatives": _negatives(run, thumbs, arrays, epoch, at[epoch])} for epoch in epochs],
            }
        )
    hardness = [float(np.nanmean(values)) if np.isfinite(values).any() else None for values in arrays["negatives/similarity"]]
    with_evidence = any(row["positive"]["evidence"] for row in rows)
    rows += [_exemplar(run, thumbs, arrays, last, place) for place in np.flatnonzero(exemplar[last])[:_EXEMPLARS].tolist()]
    mined = any(value is not None for value in hardness)
    exemplars = int(exemplar[last].sum())
    return {"rows": rows, "epochs": len(query), "mined": mined, "hardness": hardness, "exemplars": exemplars, "evidence": with_evidence}


def _exemplar(run, thumbs, arrays, epoch, place):
    """A tuple whose positive is a changed copy of the query. The copies of the training are not kept, so another copy is made here."""
    row = int(arrays["negatives/query"][epoch][place])
    copy = thumbs.changed(run.photos["path"][row], lambda rgb: another_view(rgb, np.random.default_rng(row)))
    return {
        "query": picture(run.photos, thumbs, row),
        "positive": {"uri": copy, "name": run.photos["name"][row], "evidence": "changed copy of the query"},
        "mined": [{"epoch": epoch + 1, "negatives": _negatives(run, thumbs, arrays, epoch, place)}],
    }


def _one_per_place(rule, queries, count):
    """Positions of queries, of as many places as possible, in the order of places."""
    place = rule.place[queries]
    order = np.lexsort((np.arange(len(queries)), place))
    starts = order[np.flatnonzero(np.diff(place[order], prepend=-2))]
    rest = np.setdiff1d(order, starts)
    picked = starts[np.linspace(0, len(starts) - 1, min(count, len(starts))).astype(int)]
    return [*picked.tolist(), *rest[: count - len(picked)].tolist()]


def _negatives(run, thumbs, arrays, epoch, place):
    rows, near = (arrays[f"negatives/{part}"][epoch][place][:_NEGATIVES] for part in ("photo", "similarity"))
    return [
        {**picture(run.photos, thumbs, int(row)), "similarity": float(value) if np.isfinite(value) else None}
        for row, value in zip(rows, near, strict=True)
        if row >= 0
    ]


def evidence_text(pool: Mapping[str, np.ndarray], number: int) -> str:
    """The evidence of a 3D model for a candidate of a pool."""
    text = f"{int(pool['shared'][number])} points, overlap {float(pool['overlap'][number]):.2f}"
    return text if pool.get("matched", np.ones(number + 1, bool))[number] else f"{text}, sees {float(pool['visible'][number]):.2f}"


def _evidence(positives, query, positive):
    """The evidence of the 3D model for a pair, as text; empty without a model."""
    pool = positives.pool_of(query)
    if pool is None or not {"shared", "overlap"} <= pool.keys():
        return ""
    found = np.flatnonzero(pool["photo"] == positive)
    return evidence_text(pool, found[0]) if len(found) else ""
