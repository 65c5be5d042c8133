"""What was rejected or dropped, and why."""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.photos.reasons import kind_of, with_advice
from bow2cnn.pictures.thumbnails import ThumbnailCache, crop_around
from bow2cnn.report.picture import picture
from bow2cnn.report.sections.summary import count_background, count_refused
from bow2cnn.run.rejection_counts import left_out_after_collection
from bow2cnn.run.run import Run

_EXAMPLES = 5  # file names of a reason
_CROPS = 8
_MIN_MASKED = 12  # least masked features of a photo that is shown
_BRIDGES = 12  # cut pairs that are shown


def rejections(run: Run, thumbs: ThumbnailCache) -> dict:
    """Files, features, pairs, models and photos that were left out; None for an artefact that the run does not have."""
    return {
        "files": _files(run.photos),
        "left_out": left_out_after_collection(run),
        "watermarks": _watermarks(run) if "watermarks" in run else None,
        "pairs": _pairs(run, thumbs) if "clusters" in run else None,
        "models": _models(run) if "models" in run else None,
        "unused": [
            {"source": source, "count": int(np.count_nonzero(~rule.used)), "photos": len(rule)}
            for source, rule in ((source, run.negatives(source)) for source in run.sources)
        ],
    }


def _files(photos):
    """Rejected files by kind of reason, most frequent first."""
    names = {}
    for path, reason in zip(photos["rejected/path"], photos["rejected/reason"], strict=True):
        names.setdefault(with_advice(kind_of(reason)), []).append(path)
    rows = sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))
    return [{"reason": reason, "count": len(paths), "examples": paths[:_EXAMPLES]} for reason, paths in rows]


def _watermarks(run):
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
    points = masked_points(run, row)
    if not len(points):
        return None
    uri = crop_around(run.photos["path"][row], points, run.size(row))
    return uri and {"uri": uri, "name": run.photos["name"][row], "count": len(points)}


def masked_points(run: Run, row: int) -> np.ndarray:
    """Where the masked features of a photo lie, float32 [k, 2] in pixels, in the order of its words."""
    start, stop = run.watermarks["offset"][row : row + 2].tolist()
    masked = np.flatnonzero(run.watermarks["masked"][start:stop])
    for path in run.shards("words"):
        with artefact.Reader(path, "words") as reader:
            rows = reader.shape("keypoint")[0]
            if start < rows:
                return reader.part("keypoint", start, stop)[masked, :2]
            start, stop = start - rows, stop - rows
    return np.zeros((0, 2), np.float32)


def _pairs(run, thumbs):
    """Numbers of verified, refused and cut pairs, with pictures of some cut pairs; number of background photos used as negatives."""
    return {
        "kept": len(run.graph["pair"]),
        "refused": count_refused(run),
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
            "photos": [picture(photos, thumbs, row) for row in pair],
        }
        for pair, inliers, parts, reason in list(rows)[:_BRIDGES]
    ]
