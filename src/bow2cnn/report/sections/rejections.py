"""What was rejected or dropped, and why."""

import numpy as np

from bow2cnn.photos.reasons import kind_of, with_advice
from bow2cnn.pictures.thumbnails import crop_around
from bow2cnn.report.sections.summary import count_background

_EXAMPLES = 5  # file names of a reason
_CROPS = 8
_MIN_MASKED = 12  # features of a photo that is worth showing
_BRIDGES = 12


def rejections(run, thumbs):
    """Files, features, pairs, models and photos that were left out; what the run does not have is None."""
    return {
        "files": _files(run.photos),
        "left_out": run.left_out,
        "watermarks": _marks(run) if run.watermarks else None,
        "pairs": _pairs(run, thumbs) if run.clusters else None,
        "models": _models(run) if run.models else None,
        "unused": [
            {"source": source, "count": int(np.count_nonzero(~rule.used)), "photos": len(rule)} for source, rule in run.rules.items()
        ],
    }


def _files(photos):
    """Rejected files by kind of reason, most frequent first."""
    names = {}
    for path, reason in zip(photos["rejected/path"], photos["rejected/reason"], strict=True):
        names.setdefault(with_advice(kind_of(reason)), []).append(path)
    rows = sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{"reason": reason, "count": len(paths), "examples": paths[:_EXAMPLES]} for reason, paths in rows]


def _marks(run):
    """Masked features in numbers and pictures."""
    offset, masked = run.watermarks["offset"], run.watermarks["masked"]
    count = np.diff(np.concatenate([[0], np.cumsum(masked, dtype=np.int64)])[offset])
    worth = np.flatnonzero(count >= _MIN_MASKED)
    worth = worth[np.lexsort((worth, -count[worth]))]
    picked = worth[np.linspace(0, len(worth) - 1, min(_CROPS, len(worth))).astype(int)]
    pictures = [_crop(run, int(row)) for row in picked]
    return {
        "features": len(masked),
        "masked": int(masked.sum()),
        "photos": int(np.count_nonzero(count)),
        "places": len(run.watermarks["evidence/photos"]),
        "crops": [picture for picture in pictures if picture is not None],
    }


def _crop(run, row):
    points = run.masked_points(row)
    if not len(points):
        return None
    uri = crop_around(run.photos["path"][row], points, (int(run.size[row, 0]), int(run.size[row, 1])))
    return uri and {"uri": uri, "name": run.photos["name"][row], "count": len(points)}


def _pairs(run, thumbs):
    """Pairs that were kept, refused and cut, the first of these in pictures; and photos that serve as negatives of all models."""
    return {
        "kept": len(run.graph["pair"]),
        "refused": run.graph["refused"],
        "bridges": _bridges(run, thumbs),
        "cut": len(run.clusters["cut/pair"]),
        "background": count_background(run),
    }


def _models(run):
    """Models that were rejected or not trained on."""
    models, split = run.models, run.split
    return {
        "rejected": [
            {"cluster": int(c), "photos": int(n), "reason": reason}
            for c, n, reason in zip(models["rejected/cluster"], models["rejected/photos"], models["rejected/reason"], strict=True)
        ],
        "untrained": [{"model": int(m), "reason": split["reason"][m]} for m in np.flatnonzero(split["side"] == 0)],
    }


def _bridges(run, thumbs):
    cut, photos = run.clusters, run.photos
    rows = zip(cut["cut/pair"].tolist(), cut["cut/inliers"].tolist(), cut["cut/parts"].tolist(), cut["cut/reason"], strict=True)
    return [
        {
            "inliers": inliers,
            "parts": parts,
            "reason": reason,
            "photos": [{"uri": thumbs.photo(photos["path"][row]), "name": photos["name"][row]} for row in pair],
        }
        for pair, inliers, parts, reason in list(rows)[:_BRIDGES]
    ]
