"""Rankings before and after the fine-tuning side by side."""

from collections.abc import Mapping

import numpy as np

from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.picture import picture
from bow2cnn.run.run import Run

_TOP = 8  # photos of a ranking
_PICKED = (("most improved", 3), ("most hurt", 3), ("picked at random", 2))
_PROTOCOLS = ("medium", "all")  # by the first of these that there is, queries are compared
_PURPOSE = 91  # of random numbers


def rankings(run: Run, pairings: Mapping[str, str], validations: Mapping[str, str], thumbs: ThumbnailCache) -> dict:
    """Some queries of validation and of each benchmark, for the experiment that gained most on validation.

    Args:
        run: the run.
        pairings: experiment to the system that it is compared with.
        validations: name of a validation to its source of pairs.
        thumbs: draws the photos.
    """
    experiment = _best_experiment(run, pairings)
    if experiment is None:
        return {"experiment": None, "parts": []}
    before = pairings[experiment]
    parts = [_part(run, thumbs, name, validations.get(name), before, experiment) for name in run.names("rankings")]
    parts = [part for part in parts if part is not None]
    return {"experiment": experiment, "before": before, "parts": parts, "several": len(run.experiments) > 1}


def _best_experiment(run, pairings):
    """The experiment that gained most on validation over the untrained network; the first of equals."""
    gained = {name: _gain(run.history(name)) for name in run.experiments if name in pairings}
    return max(gained, key=gained.get) if gained else None


def _gain(arrays):
    scores = arrays["tried/validation_map"]
    return float(np.nan_to_num(scores[arrays["tried/chosen"]] - scores[0], nan=-np.inf))


def _part(run, thumbs, name, source, before, after):
    ranking = run.arrays("rankings", name)
    if f"{after}/offset" not in ranking:
        return None  # validation of pairs that this experiment did not learn from
    protocol = next((p for p in _PROTOCOLS if f"{after}/ap/{p}" in ranking and f"{before}/ap/{p}" in ranking), None)
    if protocol is None:
        return {"name": name, "protocol": None, "groups": []}
    photos, truth = _truth(run, name, source, ranking["query"], protocol)
    old, new = ranking[f"{before}/ap/{protocol}"], ranking[f"{after}/ap/{protocol}"]
    groups = []
    for title, numbers in pick(new - old):
        rows = [
            {
                "query": picture(photos, thumbs, int(ranking["query"][i])),
                "lists": [
                    {"title": title, "ap": float(ap[i]), "photos": _top(photos, thumbs, ranking, system, i, truth[i])}
                    for title, system, ap in (("before", before, old), ("after", after, new))
                ],
            }
            for i in numbers
        ]
        groups.append({"title": title, "rows": rows})
    return {"name": name, "protocol": protocol, "groups": groups}


def pick(gain: np.ndarray) -> list[tuple[str, list[int]]]:
    """Choose the queries that are shown: the most improved, the most hurt, and some others at random; no query twice.

    Args:
        gain: of every query, float [q]; NaN for a query that cannot be shown.

    Returns:
        title and positions of each group that is not empty.
    """
    usable = np.flatnonzero(np.isfinite(gain))
    order = usable[np.argsort(-gain[usable], kind="stable")]
    best = order[: _PICKED[0][1]]
    worst = order[::-1][: _PICKED[1][1]]
    rest = np.setdiff1d(usable, np.concatenate([best[gain[best] > 0], worst[gain[worst] < 0]]))
    drawn = np.random.default_rng([0, _PURPOSE]).permutation(rest)[: _PICKED[2][1]]
    groups = zip((title for title, _ in _PICKED), (best[gain[best] > 0], worst[gain[worst] < 0], np.sort(drawn)), strict=True)
    return [(title, numbers.tolist()) for title, numbers in groups if len(numbers)]


def _truth(run, name, source, queries, protocol):
    """The ranked photos, and for each query of the ranking the sets of its positives and junk, as rows of these photos."""
    truth = run.truth(name) if source is None else run.validation(source)
    photos = run.arrays("benchmark_photos", name) if source is None else run.photos
    sets = [tuple(set(rows.tolist()) for rows in both) for both in truth.protocols[protocol]]
    if len(queries) == len(truth.query):
        return photos, sets
    # Validation may leave out queries. There a photo is one query only.
    known = dict(zip(truth.query.tolist(), sets, strict=True))
    return photos, [known[query] for query in queries.tolist()]


def _top(photos, thumbs, ranking, system, number, truth):
    """The first photos of a query's ranking, without the query itself."""
    start, stop = ranking[f"{system}/offset"][number : number + 2]
    query, (positives, junk) = int(ranking["query"][number]), truth
    found = []
    for row, score in zip(ranking[f"{system}/photo"][start:stop].tolist(), ranking[f"{system}/score"][start:stop].tolist(), strict=True):
        if row != query:
            kind = "junk" if row in junk else "positive" if row in positives else "negative"
            found.append({**picture(photos, thumbs, row), "kind": kind, "score": score})
    return found[:_TOP]
