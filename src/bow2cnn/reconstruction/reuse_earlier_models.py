"""Build the 3D models of one cluster."""

import logging
from collections.abc import Sequence
from pathlib import Path

from bow2cnn.core.atomic_files import WriteError
from bow2cnn.core.printable import first_line
from bow2cnn.reconstruction.colmap import Model, extend_model, largest_first, map_cluster, positions_of, read_model

_LOG = logging.getLogger("bow2cnn")
SYSTEM_ERRORS = (WriteError, OSError, MemoryError)  # of disks, files and memory: the photos of the cluster do not cause them


def build_models(
    earlier: Sequence[str | Path], photos: list[dict], pairs: list[tuple], min_photos: int, seed: int, mapper: str = "incremental"
) -> list[Model]:
    """Build the models of a cluster.

    The models that the cluster had before it grew are extended by the new photos and matches. The photos that are in none of them are
    mapped, at first with COLMAP's own limits, then with lower ones (incremental mapper only).

    Args:
        earlier: COLMAP folders of the models that the cluster had, largest first; empty for a new cluster.
        photos, pairs, min_photos, seed, mapper: see `colmap.map_cluster`.

    Returns:
        The models, largest first. A model is left out if a larger one has all of its photos.

    Raises:
        WriteError, OSError, MemoryError: the disk or the memory is full, or a file cannot be read.
        Exception: of many kinds, pycolmap's, if it fails on these photos and there is no model yet.
    """
    models: list[Model] = []
    registered: set[int] = set()
    for folder in earlier:
        try:
            # Photos of larger models are not tried again, unless this model had them too.
            own = set(positions_of(read_model(folder), photos))
            if own <= registered:
                continue
            selected, inside = _select(photos, pairs, own | _others(photos, registered))
            model = extend_model(folder, selected, inside, seed)
        except SYSTEM_ERRORS:
            raise
        except Exception as error:  # pycolmap's; the photos of this model are mapped again below
            _LOG.warning("models: %s cannot be extended: %s", folder, first_line(error))
            continue
        models.append(model)
        registered.update(positions_of(model, photos))
    for lenient in (False, True) if mapper == "incremental" else (False,):
        rest = _others(photos, registered)
        if len(rest) < min_photos:
            break
        try:
            selected, inside = _select(photos, pairs, rest)
            found = map_cluster(selected, inside, min_photos, seed, mapper, lenient)
        except Exception as error:
            if not models or isinstance(error, SYSTEM_ERRORS):
                raise
            _LOG.warning("models: the photos of a cluster that are in no model yet cannot be mapped: %s", first_line(error))
            break
        models += found
        registered.update(position for model in found for position in positions_of(model, photos))
    return largest_first(models, photos)


def _others(photos, positions):
    return set(range(len(photos))) - positions


def _select(photos, pairs, positions):
    """The photos at some positions, and the pairs among them."""
    new = {position: number for number, position in enumerate(sorted(positions))}
    inside = [(new[a], new[b], fundamental, match) for a, b, fundamental, match in pairs if a in new and b in new]
    return [photos[position] for position in new], inside
