"""Models of a cluster that has grown."""

from bow2cnn.reconstruction.colmap import extend_model, largest_first, map_cluster, positions_of


def extend_models(folders, photos, pairs, min_photos, seed):
    """The models that a cluster had, each extended by what is new, and those of the photos that none of them takes.

    Args:
        folders: of COLMAP's, the models it had, largest first.
        photos, pairs, min_photos, seed: see `colmap.map_cluster`.

    Returns:
        list of pycolmap.Reconstruction, largest first. A model all of whose photos have come into a larger one is not among them.

    Raises:
        see `colmap.map_cluster`.
    """
    models, placed = [], set()
    for folder in folders:
        model = extend_model(folder, photos, pairs, seed)
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
