"""All clusters on one page, each with its models or the reasons why it has none."""

from collections.abc import Callable

import numpy as np

from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.run.run import Run
from bow2cnn.split.sides import SIDES

_STRIP = 10  # photos shown of a cluster


def overview(run: Run, thumbs: ThumbnailCache, name_of: Callable[[int], str]) -> dict:
    """What the template shows.

    Args:
        run: with graph, clusters, models and split.
        thumbs: draws the photos.
        name_of: number of a model to the file of its page.
    """
    offset, photo, photos = run.clusters["offset"], run.clusters["photo"], run.photos
    degree = np.bincount(run.graph["pair"].ravel(), minlength=len(photos["path"]))
    cards = []
    for number in range(len(offset) - 1):
        members = photo[offset[number] : offset[number + 1]]
        order = members[np.lexsort((members, -degree[members]))]
        shown = order[np.linspace(0, len(order) - 1, min(_STRIP, len(order))).astype(int)].tolist()
        cards.append(
            {
                "number": number,
                "size": len(members),
                "pairs": int((run.clusters["cluster"][run.graph["pair"]] == number).all(1).sum()),
                "photos": [{"uri": thumbs.photo(photos["path"][row], (150, 110)), "name": photos["name"][row]} for row in shown],
                "models": [_model(run, model, name_of) for model in np.flatnonzero(run.models["cluster"] == number).tolist()],
                "reasons": _reasons(run.models, number),
            }
        )
    return {"cards": cards, "photos": len(photos["path"]), "clustered": len(photo), "models": len(run.models["cluster"])}


def _model(run, number, name_of):
    photos = int(np.diff(run.models["photo_offset"][number : number + 2])[0])
    return {"number": number, "page": name_of(number), "photos": photos, "side": SIDES[int(run.split["side"][number])]}


def _reasons(models, cluster):
    rejected = zip(models["rejected/cluster"].tolist(), models["rejected/reason"], strict=True)
    return [reason for number, reason in rejected if number == cluster]
