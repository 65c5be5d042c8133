"""What photos are called in other programs."""

import os


def names_for_others(photos):
    """Names of a collection's photos, each once: their paths below their folder of `photos`, or, where two folders have the same ones,
    their whole paths without the first slash (relative to `/`).

    Args:
        photos: `path` and `name` of the collection.
    """
    names = photos["name"]
    if len(set(names)) < len(names):
        names = [os.path.abspath(path).lstrip("/") for path in photos["path"]]
    return names
