"""Which 3D models a photo is registered in, or why in none."""

import numpy as np

from bow2cnn.explain.substitute import MODELS, substitute_for_clusters, why_no_clusters
from bow2cnn.run.run import Run

_LEAST, _LENIENT = 30, 15  # inliers with which COLMAP registers a photo: its default, and where it tries again (`reconstruction.colmap`)


def explain_model(run: Run, row: int) -> list[str]:
    """Lines about the 3D models that a photo is in, or why it is in none."""
    substitute = substitute_for_clusters(run)
    if substitute and substitute != MODELS:
        return [f"3D model: none was looked for, because {why_no_clusters(run)}"]
    if "models" not in run:
        return ["3D model: not known yet; run the stage `reconstruction`"]
    views = np.flatnonzero(run.models["photo"] == row)
    if len(views):
        return _lines_of_models(run.models, row, views)
    if substitute:
        return ["3D model: none; the models that the run began with do not have it"]
    cluster = int(run.clusters["cluster"][row]) if "clusters" in run else -1
    if cluster < 0:
        return ["3D model: none, because it is in no cluster"]
    return [f"3D model: none; the models of cluster {cluster} do not have it", *_lines_of_cluster(run, row, cluster)]


def _lines_of_models(models, row, views):
    """A line for every model that has the photo, the one that is used first."""
    numbers, used = np.searchsorted(models["photo_offset"], views, side="right") - 1, int(models["model"][row])
    lines = []
    for view, number in sorted(zip(views.tolist(), numbers.tolist(), strict=True), key=lambda found: found[1] != used):
        points = int(np.diff(models["observation_offset"][view : view + 2])[0])
        photos = int(np.diff(models["photo_offset"][number : number + 2])[0])
        unused = "" if number == used else "; not used, because it sees more points of another model"
        lines.append(f"3D model: {number}, {photos} photos; the photo sees {points} of its points{unused}")
    return lines


def _lines_of_cluster(run, row, cluster):
    """Lines on the models of a cluster, none of which has the photo."""
    models = run.models
    rejected = zip(*(models[f"rejected/{name}"] for name in ("cluster", "photos", "reason")), strict=True)
    lines = [f"  a model of {photos} photos was rejected: {reason}" for number, photos, reason in rejected if number == cluster]
    return lines + [f"  model {number}: {_reach(run, row, number)}" for number in np.flatnonzero(models["cluster"] == cluster).tolist()]


def _reach(run, row, number):
    """How many points of a model the verified matches of a photo reach."""
    models, graph = run.models, run.graph
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
        return "no verified pair joins it to a photo of this model"
    registers = f"COLMAP registers a photo with {_LEAST} points that agree on one camera, or {_LENIENT} at its second attempt"
    return f"{pairs} verified pairs reach {len(points)} of its points; {registers}"
