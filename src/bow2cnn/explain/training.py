"""What a photo was used for in training, or why for nothing."""

import numpy as np

from bow2cnn.split.sides import DROPPED, SIDES, TRAIN


def explain_training(files, row):
    """Lines about a photo's part in the training, by every source of pairs."""
    if not files.pairs:
        return ["training: not known yet; run the stage `pairs`"]
    lines, used = [], False
    for source, (positives, rule) in files.pairs.items():
        head = "training" if len(files.pairs) == 1 else f"training with pairs of {source}"
        if not rule.used[row]:
            lines.append(f"{head}: not used; {_why_not(files, row, source, rule)}")
            continue
        used = True
        told = _as_background(rule, row) if rule.background[row] else _as_photo_of_a_place(positives, rule, row)
        lines += [f"{head}: {told}", *_in_doubt(rule, row)]
    return lines + (_in_tuples(files, row) if used else [])


def _why_not(files, row, source, rule):
    if source == "database":
        return "the database does not have it"
    if source != "models":
        return _without_features(files, row) or "it shows, or a photo like it does, what a benchmark shows"
    model = -1 if files.models is None else int(files.models["model"][row])
    if model >= 0 and files.split["side"][model] == DROPPED:
        return f"model {model} is left out: {files.split['reason'][model]}"
    if files.given:
        return "nothing says what a photo outside the 3D models shows"
    if rule.cluster[row] >= 0:
        return "it may show what the models of its cluster show, so that it is no negative, and without a model it is no positive"
    if files.graph is not None and (files.graph["pair"] == row).any():
        return "verified pairs join it to others, so that it is no negative for sure, and without a model it is no positive"
    if reason := _without_features(files, row):
        return reason
    if files.split["contaminated"][row]:
        return "it matches a photo of a benchmark"
    return "other background photos (outside every cluster) were drawn (pairs.max_background)"


def _without_features(files, row):
    """Why a photo has no local features in the index; nothing where it has some."""
    if not files.is_blank(row):
        return ""
    masked, features = files.masked(row) or (0, 0)
    if masked:
        return f"all of its {features} local features are masked as those of watermarks"
    return "it has no local features, so that it may be a photo that cannot be read"


def _in_doubt(rule, row):
    """A line where doubtful pairs keep photos from being negatives of the photo."""
    kept = rule.by_doubt(row)
    if not len(kept):
        return []
    places = len(np.unique(rule.place[kept]))
    return [f"  in doubt: cut pairs join its cluster to {len(kept)} photos of {places} other places; neither are negatives of the other"]


def _as_background(rule, row):
    places = len(rule.weak_places(row))
    but = f", but not of {places} groups with which it has a little in common" if places else ""
    return f"on the side of {SIDES[int(rule.side[row])]}, a negative of all places{but}"


def _as_photo_of_a_place(positives, rule, row):
    pool, side = positives.pool_of(row), int(rule.side[row])
    query = "no query" if pool is None else f"a query with {len(pool['photo'])} candidate positives"
    positive = sum(int(np.count_nonzero(other["photo"] == row)) for other in positives.pools)
    negative = ", a negative of other places" if side == TRAIN else ""
    return f"place {int(rule.place[row])}, on the side of {SIDES[side]}: {query}, a candidate positive of {positive} queries{negative}"


def _in_tuples(files, row):
    """A line for every experiment: what the photo was in the tuples of all epochs."""
    lines = []
    for name, history in files.histories.items():
        query, positive, photo = (history[f"negatives/{part}"] for part in ("query", "positive", "photo"))
        exemplar = (query == row) & (positive == row)
        counts = {
            "query": np.count_nonzero((query == row) & ~exemplar),
            "positive": np.count_nonzero((positive == row) & ~exemplar),
            "negative": np.count_nonzero(photo == row),
            "query with a changed copy of itself": np.count_nonzero(exemplar),
        }
        told = ", ".join(f"{count} x {what}" for what, count in counts.items() if count)
        lines.append(f"  {name}, all epochs: {told or 'in no tuple'}")
    return lines
