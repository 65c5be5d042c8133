"""Whether a photo is registered in a 3D model, or why not."""

import numpy as np

_LEAST, _LENIENT = 30, 15  # inliers with which COLMAP registers a photo: its default, and where it tries again (`reconstruction.colmap`)


def explain_model(files, row):
    """Lines about the 3D model that a photo is in, or why it is in none."""
    if files.given and files.given != "3D models":
        return [f"3D model: none was looked for, because {files.why_no_clusters}"]
    if files.models is None:
        return ["3D model: not known yet; run the stage `reconstruction`"]
    models = files.models
    views = np.flatnonzero(models["photo"] == row)
    numbers = np.searchsorted(models["photo_offset"], views, side="right") - 1
    if len(views):
        used = int(models["model"][row])
        lines = []
        for view, number in sorted(zip(views.tolist(), numbers.tolist(), strict=True), key=lambda found: found[1] != used):
            points = int(np.diff(models["observation_offset"][view : view + 2])[0])
            photos = int(np.diff(models["photo_offset"][number : number + 2])[0])
            kept = "" if number == used else "; not used, because another model sees more of it"
            lines.append(f"3D model: {number}, {photos} photos; it sees {points} of its points{kept}")
        return lines
    if files.given:
        return ["3D model: none of those that the run began with has it"]
    cluster = -1 if files.clusters is None else int(files.clusters["cluster"][row])
    if cluster < 0:
        return ["3D model: none, because it is in no cluster"]
    rejected = zip(*(models[f"rejected/{name}"] for name in ("cluster", "photos", "reason")), strict=True)
    lines = [f"  rejected, {photos} photos: {reason}" for number, photos, reason in rejected if number == cluster]
    lines += [f"  model {number}: {_reach(files, row, number)}" for number in np.flatnonzero(models["cluster"] == cluster).tolist()]
    return [f"3D model: none of cluster {cluster} has it", *lines]


def _reach(files, row, number):
    """How far the verified matches of a photo reach into a model."""
    models, graph = files.models, files.graph
    photos = slice(*models["photo_offset"][number : number + 2])
    seen = {}  # photo -> feature -> point
    for view in range(photos.start, photos.stop):
        rows = slice(*models["observation_offset"][view : view + 2])
        columns = (models["observation/feature"][rows].tolist(), models["observation/point"][rows].tolist())
        seen[int(models["photo"][view])] = dict(zip(*columns, strict=True))
    points, pairs = set(), 0
    for edge in np.flatnonzero((graph["pair"] == row).any(1)).tolist():
        side = int(graph["pair"][edge, 0] == row)  # of the other photo
        known = seen.get(int(graph["pair"][edge, side]))
        if known is not None:
            pairs += 1
            match = graph["match"][slice(*graph["match_offset"][edge : edge + 2])]
            points.update((feature, known[other]) for feature, other in match[:, [1 - side, side]].tolist() if other in known)
    if not pairs:
        return "no verified pair with a photo of it"
    registers = f"COLMAP registers a photo from {_LEAST} that agree on one camera, or {_LENIENT} at its second attempt"
    return f"{pairs} verified pairs reach {len(points)} of its points; {registers}"
