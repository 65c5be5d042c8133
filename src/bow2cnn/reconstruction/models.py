"""The arrays of a `models` artefact: packing and unpacking; and the tests that reject implausible models."""

from collections.abc import Mapping, Sequence

import numpy as np

from bow2cnn.core import artefact

_FOCAL_RANGE = (0.3, 10.0)  # plausible focal lengths as multiples of the longer side: fisheye to long telephoto
_MIN_POINTS = 50
_PER_PHOTO = {"photo": np.int32, "focal": np.float64, "k1": np.float64}


def pack_models(models: Sequence[Mapping], rejected: Sequence[tuple[int, int, str]]) -> dict:
    """Flat arrays of a list of models.

    Args:
        models: dicts as `colmap.to_arrays` makes them, with `photo` as rows of the collection, `color` (uint8 [X, 3]) and `cluster`.
        rejected: (cluster, number of photos, reason) of every model that was rejected, or that could not be built.

    Returns:
        The arrays of a `models` artefact without `model` and `sha256` (see docs/architecture.md).
    """
    starts = artefact.offsets([len(model["point"]) for model in models])
    seen = [(points + start, rows) for model, start in zip(models, starts, strict=False) for points, rows in model["observations"]]
    flat = {name: _join([model[name] for model in models], (), dtype) for name, dtype in _PER_PHOTO.items()}
    return {
        **flat,
        "photo_offset": artefact.offsets([len(model["photo"]) for model in models]),
        "rotation": _join([model["rotation"] for model in models], (3, 3), np.float64),
        "translation": _join([model["translation"] for model in models], (3,), np.float64),
        "point_offset": starts,
        "point": _join([model["point"] for model in models], (3,), np.float32),
        "color": _join([model["color"] for model in models], (3,), np.uint8),
        "observation_offset": artefact.offsets([len(points) for points, _ in seen]),
        "observation/point": _join([points for points, _ in seen], (), np.int64),
        "observation/feature": _join([rows for _, rows in seen], (), np.int32),
        "cluster": np.array([model["cluster"] for model in models], np.int32),
        "error": np.array([model["error"] for model in models], np.float32),
        "rejected/cluster": np.array([cluster for cluster, _, _ in rejected], np.int32),
        "rejected/photos": np.array([photos for _, photos, _ in rejected], np.int32),
        "rejected/reason": [reason for _, _, reason in rejected],
    }


def unpack_models(arrays: Mapping) -> tuple[list[dict], list[tuple[int, int, str]]]:
    """The models and the rejected ones of a `models` artefact, as `pack_models` takes them."""
    models = []
    for m in range(len(arrays["cluster"])):
        views = slice(*arrays["photo_offset"][m : m + 2])
        points = slice(*arrays["point_offset"][m : m + 2])
        model = {name: arrays[name][views] for name in ("photo", "focal", "k1", "rotation", "translation")}
        model |= {"point": arrays["point"][points], "color": arrays["color"][points]}
        model |= {"cluster": int(arrays["cluster"][m]), "error": float(arrays["error"][m])}
        model["observations"] = [_observed(arrays, view, points.start) for view in range(views.start, views.stop)]
        models.append(model)
    rejected = list(zip(arrays["rejected/cluster"].tolist(), arrays["rejected/photos"].tolist(), arrays["rejected/reason"], strict=True))
    return models, rejected


def implausible(arrays: Mapping, longer_side: np.ndarray) -> str:
    """The reason why a model is implausible, or an empty string.

    Args:
        arrays: of the model, see `colmap.to_arrays`.
        longer_side: int [R], of each of its photos (pixels).
    """
    if len(arrays["point"]) < _MIN_POINTS:
        return f"only {len(arrays['point'])} points"
    ratio = arrays["focal"] / longer_side
    wrong = np.mean((ratio < _FOCAL_RANGE[0]) | (ratio > _FOCAL_RANGE[1]))
    return f"{wrong:.0%} of the cameras have an impossible focal length" if wrong > 0.5 else ""


def find_duplicates(photos: Sequence[int], larger: set[int], min_photos: int) -> str:
    """The reason why a model is a duplicate of larger models of its cluster, or an empty string.

    If models overlap, the larger one is kept (Radenovic, Tolias, Chum, TPAMI 2018, section 3.2). The smaller one is kept too if
    `min_photos` of its photos are in no larger model, or if it has no photo in common with them.

    Args:
        photos: of the model.
        larger: photos of all larger models of the cluster.
        min_photos: photos of the smallest model.
    """
    shared = len(larger.intersection(photos))
    return f"{shared} of its photos are in a larger model" if shared > len(photos) - min_photos and shared else ""


def _observed(arrays, view, first_point):
    rows = slice(*arrays["observation_offset"][view : view + 2])
    return arrays["observation/point"][rows] - first_point, arrays["observation/feature"][rows]


def _join(parts, shape, dtype):
    return np.concatenate([np.zeros((0, *shape), dtype), *parts]).astype(dtype)
