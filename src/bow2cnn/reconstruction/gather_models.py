"""All models of a collection in one artefact, largest first."""

from collections import Counter

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.reconstruction.model_cache import ModelCache
from bow2cnn.reconstruction.models import pack_models, unpack_models


def gather_models(shards, collection, out, state):
    """Write the `models` artefact of the whole collection.

    A photo registered by two models of its cluster (the mapper lets them overlap) stays in the one that sees more points through it.

    Args:
        shards: paths of the `models` artefacts of all shards.
        collection: path, for the number of photos.
        state: folder of `reconstruct_shard`; what this run did not use is deleted.

    Raises:
        EmptyStageError: there is no model.
    """
    check_photos(collection, *shards)
    models, rejected, keys = [], [], set()
    for path in shards:
        arrays = artefact.read(path, "models")
        keys.update(arrays["kept"])
        some, dropped = unpack_models(arrays)
        models += some
        rejected += dropped
    ModelCache(state).drop_others(keys)
    if not models:
        raise EmptyStageError(_nothing(rejected))
    write_models(models, rejected, collection, out)


def write_models(models, rejected, collection, out, params=None):
    """Write the `models` artefact of models and rejected ones (see `pack_models`) of a collection, at a path, with these parameters."""
    models = sorted(models, key=lambda model: (-len(model["photo"]), model["cluster"], int(model["photo"][0])))
    with artefact.Reader(collection, "collection") as reader:
        count = reader.shape("width")[0]
    model, best = np.full(count, -1, np.int32), np.zeros(count, np.int64)
    for number, arrays in enumerate(models):
        for photo, (points, _) in zip(arrays["photo"], arrays["observations"], strict=True):
            if model[photo] < 0 or len(points) > best[photo]:
                model[photo], best[photo] = number, len(points)
    artefact.write(out, "models", {**pack_models(models, sorted(rejected)), "model": model, **photos_of(collection)}, params)


def _nothing(rejected):
    """Why there is no model."""
    reasons = Counter(reason for _, _, reason in rejected)
    found = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
    return (
        f"models: no 3D model came of the clusters ({found or 'there is none'}); add photos that show the same place from different "
        "places, or lower reconstruction.min_photos"
    )
