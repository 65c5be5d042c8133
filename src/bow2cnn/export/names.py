"""What photos are called in other programs."""

import os

from bow2cnn.run.arrays import Arrays


def names_for_others(photos: Arrays | dict[str, list[str]]) -> list[str]:
    """Unique names of a collection's photos: their paths below their folder of `photos`. If two photos have the same, all names are whole
    paths without the first slash (relative to `/`).

    Args:
        photos: `path` and `name` of the collection.
    """
    names = photos["name"]
    if len(set(names)) < len(names):
        names = [os.path.abspath(path).lstrip("/") for path in photos["path"]]
    return names
