"""The models of one cluster."""

import logging

from bow2cnn.files import WriteError
from bow2cnn.reconstruction.colmap import extend_model, largest_first, map_cluster, positions_of
from bow2cnn.text import first_line

_LOG = logging.getLogger("bow2cnn")


def build_models(before, photos, pairs, min_photos, seed):
    """The models that a cluster had before it grew, each extended by what is new, and those of the photos that none of them takes.

    Args:
        before: folders of COLMAP's with the models it had, largest first; none for a cluster that is new.
        photos, pairs, min_photos, seed: see `colmap.map_cluster`.

    Returns:
        list of pycolmap.Reconstruction, largest first. A model all of whose photos have come into a larger one is not among them.

    Raises:
        see `colmap.map_cluster`.
    """
    models, placed = [], set()
    for folder in before:
        try:
            model = extend_model(folder, photos, pairs, seed)
        except WriteError:
            raise
        except Exception as error:  # of pycolmap's; its photos are mapped anew
            _LOG.warning("models: %s cannot be extended: %s", folder, first_line(error))
            continue
        positions = positions_of(model, photos)
        if not placed.issuperset(positions):
            models.append(model)
            placed.update(positions)
    left = [number for number in range(len(photos)) if number not in placed]
    if len(left) >= min_photos:
        new = {number: place for place, number in enumerate(left)}
        among = [(new[a], new[b], fundamental, match) for a, b, fundamental, match in pairs if a in new and b in new]
        models += map_cluster([photos[number] for number in left], among, min_photos, seed)
    return largest_first(models, photos)
