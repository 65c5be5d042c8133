"""Which photos an artefact is about: their digests, in its column `sha256`. Rows of one artefact mean nothing beside another's photos."""

from pathlib import Path

import numpy as np

from bow2cnn.core import artefact


def photos_of(path):
    """The column of the photos of an artefact, for one that is made from it: `sha256`, or nothing where it has none."""
    with artefact.Reader(path) as reader:
        return {"sha256": reader["sha256"]} if "sha256" in reader else {}


def check_photos(first, *others):
    """See to it that artefacts are about the same photos in the same order; one that does not say which passes.

    Args:
        first, others: paths; a list of paths, in their order, where the photos are divided into shards.

    Raises:
        ArtefactError: one is about others than the first.
    """
    wanted = photos_of(first).get("sha256")
    for paths in others:
        start = 0
        for path in [paths] if isinstance(paths, (str, Path)) else paths:
            own = photos_of(path).get("sha256")
            if wanted is None or own is None:
                break
            if not np.array_equal(own, wanted[start : start + len(own)]):
                raise _strange(path, first)
            start += len(own)
        else:
            if start < len(wanted):
                raise _strange(path, first)


def _strange(path, first):
    return artefact.ArtefactError(f"{path}: is of other photos than {first}; delete what is not of this run and start it again")
