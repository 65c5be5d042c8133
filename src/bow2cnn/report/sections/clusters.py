"""The collection: contact sheets of its clusters, and of background photos."""

import numpy as np

from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.picture import picture
from bow2cnn.run.run import Run

_SHOWN = 60  # clusters
_STRIP = 8  # photos shown of a cluster
_BACKGROUND = 16  # background photos shown


def clusters(run: Run, thumbs: ThumbnailCache) -> dict:
    """A strip of photos for each cluster, largest first, with its models or the reasons why it has none."""
    offset, photo = run.clusters["offset"], run.clusters["photo"]
    degree = np.bincount(run.graph["pair"].ravel(), minlength=len(run.photos["path"]))
    strips = []
    for number in range(min(len(offset) - 1, _SHOWN)):
        members = photo[offset[number] : offset[number + 1]]
        strips.append(
            {
                "number": number,
                "size": len(members),
                "photos": [picture(run.photos, thumbs, row) for row in _spread(members, degree, _STRIP)],
                "outcomes": _outcomes(run, number),
            }
        )
    background = np.setdiff1d(np.arange(len(run.photos["path"])), photo)
    picked = background[np.linspace(0, len(background) - 1, min(_BACKGROUND, len(background))).astype(int)]
    return {
        "strips": strips,
        "hidden": max(len(offset) - 1 - _SHOWN, 0),
        "background": len(background),
        "background_photos": [picture(run.photos, thumbs, row) for row in picked],
    }


def _spread(members, degree, count):
    """Some photos of a cluster, from the one with most verified pairs to the one with fewest, so that a wrong photo can be seen."""
    order = members[np.lexsort((members, -degree[members]))]
    return order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]


def _outcomes(run, cluster):
    """The models of a cluster, and the reasons why others were rejected."""
    models = run.models
    found = [
        {"model": int(m), "photos": int(models["photo_offset"][m + 1] - models["photo_offset"][m])}
        for m in np.flatnonzero(models["cluster"] == cluster)
    ]
    lost = [models["rejected/reason"][i] for i in np.flatnonzero(models["rejected/cluster"] == cluster)]
    return {"models": found, "reasons": lost}
