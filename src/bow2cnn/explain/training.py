"""What a photo was used for in training, or why for nothing."""

import numpy as np

from bow2cnn.pairs.doubt import related
from bow2cnn.split.split import DROPPED, SIDES, TRAIN


def explain_training(files, row):
    """Lines about a photo's part in the training."""
    if files.pairs is None:
        return ["training: not known yet; run the stage `pairs`"]
    group, side = int(files.pairs["group"][row]), int(files.pairs["side"][row])
    if group < 0:
        return [f"training: not used; {_why_not(files, row)}"]
    outsider = files.pairs["cluster"][row] < 0
    used = _as_outsider(files, row, side) if outsider else _as_photo_of_a_model(files, row, side)
    return [f"training: {used}", *_in_doubt(files, row), *_in_tuples(files, row)]


def _why_not(files, row):
    model = -1 if files.models is None else int(files.models["model"][row])
    if model >= 0 and files.split["side"][model] == DROPPED:
        return f"model {model} is left out: {files.split['reason'][model]}"
    if files.given == "pairs":
        return "the database does not have it"
    if files.given:
        return "nothing says what a photo outside the 3D models shows"
    if files.pairs["cluster"][row] >= 0:
        return "it may show what the models of its cluster show, so that it is no negative, and without a model it is no positive"
    if files.graph is not None and (files.graph["pair"] == row).any():
        return "verified pairs join it to others, so that it is no negative for sure, and without a model it is no positive"
    if files.is_blank(row):
        masked, features = files.masked(row) or (0, 0)
        if masked:
            return f"all of its {features} local features are masked as those of watermarks"
        return "it has no local features, so that it may be a photo that cannot be read"
    if files.split["contaminated"][row]:
        return "it matches a photo of a benchmark"
    return "other photos outside every cluster were drawn (pairs.max_background)"


def _in_doubt(files, row):
    """A line where doubtful pairs keep photos from being negatives of the photo."""
    group, cluster, doubt = (files.pairs[name] for name in ("group", "cluster", "doubt"))
    usable = np.flatnonzero(group >= 0)
    without = related(row, usable, group, cluster, np.zeros((0, 2), np.int32))
    kept = usable[related(row, usable, group, cluster, doubt) & ~without]
    if not len(kept):
        return []
    places = len(np.unique(group[kept]))
    return [f"  in doubt: cut pairs join its cluster to {len(kept)} photos of {places} other places; neither are negatives of the other"]


def _as_outsider(files, row, side):
    doubtful = np.unique(files.pairs["weak"][files.pairs["weak"][:, 0] == row, 1])
    groups = np.unique(files.pairs["group"][doubtful])
    but = f", but not of {np.count_nonzero(groups >= 0)} groups with which it has a little in common" if (groups >= 0).any() else ""
    return f"on the side of {SIDES[side]}, a negative of all places{but}"


def _as_photo_of_a_model(files, row, side):
    pairs = files.pairs
    number = np.flatnonzero(pairs["query"] == row)
    pool = int(np.diff(pairs["pool_offset"])[number[0]]) if len(number) else 0
    query = f"a query with {pool} candidate positives" if len(number) else "no query"
    positive = int(np.count_nonzero(pairs["pool/photo"] == row))
    negative = ", a negative of other places" if side == TRAIN else ""
    return f"place {int(pairs['group'][row])}, on the side of {SIDES[side]}: {query}, a candidate positive of {positive} queries{negative}"


def _in_tuples(files, row):
    """A line for every experiment: what the photo was in the tuples of all epochs."""
    lines = []
    for name, history in files.histories.items():
        query, positive, photo = (history[f"negatives/{part}"] for part in ("query", "positive", "photo"))
        alone = (query == row) & (positive == row)
        counts = {
            "query": np.count_nonzero((query == row) & ~alone),
            "positive": np.count_nonzero((positive == row) & ~alone),
            "negative": np.count_nonzero(photo == row),
            "query with a changed copy of itself": np.count_nonzero(alone),
        }
        told = ", ".join(f"{count} x {what}" for what, count in counts.items() if count)
        lines.append(f"  {name}, all epochs: {told or 'in no tuple'}")
    return lines
