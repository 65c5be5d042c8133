"""The 3D models: a picture of each with its cameras; the largest can be turned."""

import numpy as np

from bow2cnn.pictures.thumbnails import ThumbnailCache, to_uri
from bow2cnn.reconstruction.cameras import camera_centers
from bow2cnn.report import cloud
from bow2cnn.run.run import Run
from bow2cnn.split.sides import DROPPED, SIDES

_SHOWN = 40  # models
_TURNABLE = 12  # models that can be turned
_POINTS = 4000  # of a model that can be turned


def models(run: Run, thumbs: ThumbnailCache) -> dict:
    """A card for each model, largest first."""
    arrays, cards = run.models, []
    count = len(arrays["cluster"])
    size = np.diff(run.clusters["offset"]) if "clusters" in run else None
    for number in range(min(count, _SHOWN)):
        views = slice(*arrays["photo_offset"][number : number + 2])
        points = slice(*arrays["point_offset"][number : number + 2])
        scene = cloud.arrange(arrays["point"][points], arrays["color"][points], arrays["rotation"][views], arrays["translation"][views])
        cluster, side = int(arrays["cluster"][number]), int(run.split["side"][number])
        cards.append(
            {
                "number": number,
                "picture": to_uri(cloud.draw(scene), 74),
                "packed": cloud.pack(scene, _POINTS) if number < _TURNABLE else None,
                "photo": thumbs.photo(run.photos["path"][_central(arrays, views)]),
                "photos": views.stop - views.start,
                "of": None if size is None else int(size[cluster]),
                "points": points.stop - points.start,
                "error": float(arrays["error"][number]),
                "cluster": cluster,
                "side": SIDES[side],
                "reason": run.split["reason"][number] if side == DROPPED else "",
            }
        )
    return {"cards": cards, "count": count, "rejected": len(arrays["rejected/cluster"]), "pages": "clusters" in run}


def _central(arrays, views):
    """The photo whose camera is nearest to the median of the cameras."""
    center = camera_centers(arrays["rotation"][views], arrays["translation"][views])
    away = np.linalg.norm(center - np.median(center, 0), axis=1)
    return arrays["photo"][views][np.argmin(away)]
