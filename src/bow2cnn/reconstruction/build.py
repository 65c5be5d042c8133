"""The models of one cluster."""

import logging

from bow2cnn.core.atomic_files import WriteError
from bow2cnn.core.printable import first_line
from bow2cnn.reconstruction.colmap import extend_model, largest_first, map_cluster, positions_of, read_model

_LOG = logging.getLogger("bow2cnn")
SYSTEM = (WriteError, OSError, MemoryError)  # of disks, files and memory: nothing that the photos are to blame for


def build_models(before, photos, pairs, min_photos, seed, mapper="incremental"):
    """The models that a cluster had before it grew, each extended by what is new, and those of the photos that none of them takes: first
    as COLMAP would have them, then with less that speaks for them (the incremental mapper only).

    Args:
        before: folders of COLMAP's with the models it had, largest first; none for a cluster that is new.
        photos, pairs, min_photos, seed, mapper: see `colmap.map_cluster`.

    Returns:
        list of pycolmap.Reconstruction, largest first. A model all of whose photos have come into a larger one is not among them.

    Raises:
        see `colmap.map_cluster`.
    """
    models, placed = [], set()
    for folder in before:
        try:
            # Photos that a larger model has taken would be tried again and again: only those that this one had too stay with it.
            had = set(positions_of(read_model(folder), photos))
            if had <= placed:
                continue
            model = extend_model(folder, *_among(photos, pairs, had | _others(photos, placed)), seed)
        except SYSTEM:
            raise
        except Exception as error:  # of pycolmap's; its photos are mapped anew
            _LOG.warning("models: %s cannot be extended: %s", folder, first_line(error))
            continue
        models.append(model)
        placed.update(positions_of(model, photos))
    for lenient in (False, True) if mapper == "incremental" else (False,):
        left = _others(photos, placed)
        if len(left) < min_photos:
            break
        try:
            found = map_cluster(*_among(photos, pairs, left), min_photos, seed, mapper, lenient)
        except Exception as error:
            if not models or isinstance(error, SYSTEM):
                raise
            _LOG.warning("models: what the models of a cluster leave over cannot be mapped again: %s", first_line(error))
            break
        models += found
        placed.update(number for model in found for number in positions_of(model, photos))
    return largest_first(models, photos)


def _others(photos, placed):
    return set(range(len(photos))) - placed


def _among(photos, pairs, numbers):
    """Some of the photos and the pairs among them."""
    place = {number: position for position, number in enumerate(sorted(numbers))}
    inside = [(place[a], place[b], fundamental, match) for a, b, fundamental, match in pairs if a in place and b in place]
    return [photos[number] for number in place], inside
