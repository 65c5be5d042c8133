"""The photos that an artefact describes: their digests in its column `sha256`. Rows can be used only with artefacts of the same photos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact


def photos_of(path: str | Path) -> dict[str, np.ndarray]:
    """The column `sha256` (uint8 [n, 32]) of an artefact, to be copied into one that is made from it; empty if it has none.

    Raises:
        ArtefactError, ReadError: see `artefact.read`.
    """
    with artefact.Reader(path) as reader:
        return {"sha256": reader["sha256"]} if "sha256" in reader else {}


def check_photos(first: str | Path, *others: str | Path | Sequence[str | Path]) -> None:
    """Check that artefacts describe the same photos in the same order. An artefact without the column `sha256` is accepted.

    Args:
        first: path of the artefact with which the others are compared.
        others: paths; for photos that are divided into shards, the list of the shards' paths in their order.

    Raises:
        ArtefactError: one describes other photos than the first.
    """
    wanted = photos_of(first).get("sha256")
    if wanted is None:
        return
    for paths in others:
        start = 0
        for path in [paths] if isinstance(paths, (str, Path)) else paths:
            own = photos_of(path).get("sha256")
            if own is None:
                break
            if not np.array_equal(own, wanted[start : start + len(own)]):
                raise _strange(path, first)
            start += len(own)
        else:
            if start < len(wanted):
                raise _strange(path, first)


def _strange(path, first):
    return artefact.ArtefactError(f"{path}: describes other photos than {first}; delete the files of other runs and start this run again")
