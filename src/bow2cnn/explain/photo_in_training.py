"""What a photo was used for in training, or why it was not used."""

import numpy as np

from bow2cnn.explain.masked_features import count_masked
from bow2cnn.explain.substitute import substitute_for_clusters
from bow2cnn.run.run import Run
from bow2cnn.split.sides import DROPPED, SIDES, TRAIN


def explain_training(run: Run, row: int) -> list[str]:
    """Lines about a photo's part in the training, by every source of pairs."""
    if not run.sources:
        return ["training: not known yet; run the stage `pairs`"]
    lines, used = [], False
    for source in run.sources:
        head = "training" if len(run.sources) == 1 else f"training with pairs of {source}"
        rule = run.negatives(source)
        if not rule.used[row]:
            lines.append(f"{head}: not used; {_why_not(run, row, source, rule)}")
            continue
        used = True
        part = _as_background(rule, row) if rule.background[row] else _as_photo_of_a_place(run.positives(source), rule, row)
        lines += [f"{head}: {part}", *_in_doubt(rule, row)]
    return lines + (_in_tuples(run, row) if used else [])


def _why_not(run, row, source, rule):
    if source == "database":
        return "the database does not have it"
    if source != "models":
        return _without_features(run, row) or "it shows what a benchmark shows, or a photo that matches it does"
    model = int(run.models["model"][row]) if "models" in run else -1
    if model >= 0 and run.split["side"][model] == DROPPED:
        return f"model {model} is left out: {run.split['reason'][model]}"
    if substitute_for_clusters(run):
        return "it is in no 3D model, and nothing else says what it shows"
    if rule.cluster[row] >= 0:
        return "it is in a cluster but in no 3D model: it cannot be a positive, and is not safe as a negative"
    if "graph" in run and (run.graph["pair"] == row).any():
        return "verified pairs join it to others, but it is in no 3D model: it cannot be a positive, and is not safe as a negative"
    if reason := _without_features(run, row):
        return reason
    if run.split["contaminated"][row]:
        return "it matches a photo of a benchmark"
    return "enough other background photos (outside every cluster) were drawn (pairs.max_background)"


def _without_features(run, row):
    """Why a photo has no local features in the index; an empty string if it has some."""
    if np.diff(run.index.part("offset", row, row + 2)) > 0:
        return ""
    masked, features = count_masked(run, row)
    if masked:
        return f"all its {features} local features are on watermarks, and left out of the index"
    return "it has no local features; perhaps it cannot be read"


def _in_doubt(rule, row):
    """A line if doubtful pairs keep photos from being negatives of the photo."""
    kept = rule.by_doubt(row)
    if not len(kept):
        return []
    places = len(np.unique(rule.place[kept]))
    return [f"  in doubt: cut pairs join its cluster to {len(kept)} photos of {places} other places; they are not negatives of each other"]


def _as_background(rule, row):
    places = len(rule.weak_places(row))
    but = f", except of {places} places that it matches too weakly to be joined to them" if places else ""
    return f"background photo (outside every cluster), {SIDES[int(rule.side[row])]} side: a negative of all places{but}"


def _as_photo_of_a_place(positives, rule, row):
    pool, side = positives.pool_of(row), int(rule.side[row])
    query = "not a query" if pool is None else f"a query with {len(pool['photo'])} candidate positives"
    positive = sum(int(np.count_nonzero(other["photo"] == row)) for other in positives.pools)
    negative = ", a negative of other places" if side == TRAIN else ""
    return f"place {int(rule.place[row])}, {SIDES[side]} side: {query}, a candidate positive of {positive} queries{negative}"


def _in_tuples(run, row):
    """A line for every experiment: how often the photo was in tuples, and as what, over all epochs."""
    lines = []
    for name in run.experiments:
        history = run.history(name)
        query, positive, photo = (history[f"negatives/{part}"] for part in ("query", "positive", "photo"))
        exemplar = (query == row) & (positive == row)
        counts = {
            "query": np.count_nonzero((query == row) & ~exemplar),
            "positive": np.count_nonzero((positive == row) & ~exemplar),
            "negative": np.count_nonzero(photo == row),
            "query with a changed copy of itself as the positive": np.count_nonzero(exemplar),
        }
        parts = ", ".join(f"{count} x {what}" for what, count in counts.items() if count)
        lines.append(f"  {name}, all epochs: {parts or 'in no tuple'}")
    return lines
