"""Growing collections: rows of an earlier version of an artefact are kept for photos that are still there.

Snakemake keeps the old file where an output is marked `update()`. Its rows may be kept if it has the same lineage: a digest of everything
that they depend on except the photos (settings, code, vocabulary, ...). Of these rows, those are kept whose own inputs have the same
digest: the photo's bytes, its features, its masked features.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.core import artefact

_LOG = logging.getLogger("bow2cnn")


def lineage(*parts: Any) -> str:
    """Hexadecimal digest of the settings, the code and the lineages of the inputs of an artefact: anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def lineage_of(path: str | Path, kind: str) -> str:
    """The lineage of an artefact, an empty text if it has none.

    Raises:
        ArtefactError, ReadError: see `artefact.read`.
    """
    with artefact.Reader(path, kind) as reader:
        return reader.params.get("lineage", "")


def load_previous(path: str | Path, kind: str, wanted: str) -> dict[str, Any] | None:
    """Read the arrays of an earlier version of an artefact.

    Args:
        path: the file.
        kind: its kind.
        wanted: the lineage that its rows must have to be kept.

    Returns:
        Name to array; None if there is no such file, its lineage differs or it is damaged.

    Raises:
        ReadError: the system refuses to read it.
    """
    if not Path(path).exists():
        return None
    try:
        with artefact.Reader(path, kind) as reader:
            return {name: reader[name] for name in reader.names()} if reader.params.get("lineage") == wanted else None
    except artefact.ArtefactError as error:
        _LOG.warning("the earlier version cannot be used, everything is made again: %s", error)
        return None


def log_reuse(stage: str, new: int, photos: int) -> None:
    """Log the number of new photos, if the rows of others are kept."""
    if new < photos:
        _LOG.info("%s: %d of %d photos are new", stage, new, photos)


def find_rows(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Find the row of every photo in an earlier version of an artefact.

    Args:
        before: uint8 [m, 32], digests of the inputs of the earlier rows.
        now: uint8 [n, 32], digests of the inputs of the new rows.

    Returns:
        int64 [n], -1 where the photo is new or has changed.
    """
    rows = {bytes(content): row for row, content in enumerate(before)}
    return np.array([rows.get(bytes(content), -1) for content in now], np.int64)


def digests(*columns: Iterable) -> np.ndarray:
    """SHA-256 of every photo's row in several columns, uint8 [n, 32]. A column has one bytes-like item per photo."""
    found = [hashlib.sha256(b"".join(bytes(part) for part in parts)).digest() for parts in zip(*columns, strict=True)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32)
