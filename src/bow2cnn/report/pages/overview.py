"""All clusters on one page, each with what became of it."""

import numpy as np

from bow2cnn.split.sides import SIDES

_STRIP = 10  # photos of a cluster


def overview(found, thumbs, name_of):
    """What the template shows.

    Args:
        found: `Models`; thumbs: `ThumbnailCache`; name_of: the file of a model's page.
    """
    offset, photo, photos = found.clusters["offset"], found.clusters["photo"], found.photos
    degree = np.bincount(found.graph["pair"].ravel(), minlength=len(photos["path"]))
    cards = []
    for number in range(len(offset) - 1):
        members = photo[offset[number] : offset[number + 1]]
        order = members[np.lexsort((members, -degree[members]))]
        shown = order[np.linspace(0, len(order) - 1, min(_STRIP, len(order))).astype(int)].tolist()
        cards.append(
            {
                "number": number,
                "size": len(members),
                "pairs": int((found.clusters["cluster"][found.graph["pair"]] == number).all(1).sum()),
                "photos": [{"uri": thumbs.photo(photos["path"][row], (150, 110)), "name": photos["name"][row]} for row in shown],
                "models": [_model(found, model, name_of) for model in np.flatnonzero(found.models["cluster"] == number).tolist()],
                "reasons": _reasons(found.models, number),
            }
        )
    return {"cards": cards, "photos": len(photos["path"]), "clustered": len(photo), "models": len(found)}


def _model(found, number, name_of):
    photos = int(np.diff(found.models["photo_offset"][number : number + 2])[0])
    return {"number": number, "page": name_of(number), "photos": photos, "side": SIDES[int(found.split["side"][number])]}


def _reasons(models, cluster):
    rejected = zip(models["rejected/cluster"].tolist(), models["rejected/reason"], strict=True)
    return [reason for number, reason in rejected if number == cluster]
