"""Gather the models of all shards in one artefact, largest first."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.reconstruction.model_cache import ModelCache
from bow2cnn.reconstruction.models import pack_models, unpack_models


def gather_models(shards: Sequence[str | Path], collection: str | Path, out: str | Path, state: str | Path) -> None:
    """Write the `models` artefact of the whole collection.

    A photo may be registered in two models of its cluster, because the mapper lets them overlap. It then counts as a photo of the model in
    which it sees more points.

    Args:
        shards: paths of the `models` artefacts of all shards.
        collection: path of the `collection` artefact, for the number of photos.
        out: path of the artefact to write.
        state: folder of the kept models (see `reconstruct_shard`). Models that this run did not use are deleted.

    Raises:
        EmptyStageError: there is no model.
        ArtefactError: an input cannot be used, or is of other photos than the collection.
        WriteError: the disk is full or not writable.
    """
    check_photos(collection, *shards)
    models, rejected, keys = [], [], set()
    for path in shards:
        arrays = artefact.read(path, "models")
        keys.update(arrays["kept"])
        of_shard, rejected_of_shard = unpack_models(arrays)
        models += of_shard
        rejected += rejected_of_shard
    ModelCache(state).drop_others(keys)
    if not models:
        raise EmptyStageError(_why_no_model(rejected))
    write_models(models, rejected, collection, out)


def write_models(
    models: list[dict], rejected: list[tuple[int, int, str]], collection: str | Path, out: str | Path, params: dict | None = None
) -> None:
    """Write the `models` artefact of a collection.

    Args:
        models, rejected: see `pack_models`, in any order.
        collection: path of the `collection` artefact.
        out: path of the artefact to write.
        params: parameters of the artefact.

    Raises:
        ArtefactError: the collection cannot be used.
        WriteError: the disk is full or not writable.
    """
    models = sorted(models, key=lambda model: (-len(model["photo"]), model["cluster"], int(model["photo"][0])))
    with artefact.Reader(collection, "collection") as reader:
        count = reader.shape("width")[0]
    model, most_points = np.full(count, -1, np.int32), np.zeros(count, np.int64)
    for number, arrays in enumerate(models):
        for photo, (points, _) in zip(arrays["photo"], arrays["observations"], strict=True):
            if model[photo] < 0 or len(points) > most_points[photo]:
                model[photo], most_points[photo] = number, len(points)
    artefact.write(out, "models", {**pack_models(models, sorted(rejected)), "model": model, **photos_of(collection)}, params)


def _why_no_model(rejected):
    reasons = Counter(reason for _, _, reason in rejected)
    found = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
    return (
        f"models: no 3D model came of the clusters ({found or 'there is none'}); add photos that show the same place from different "
        "places, or lower reconstruction.min_photos"
    )
