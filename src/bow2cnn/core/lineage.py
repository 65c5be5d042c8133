"""Growing collections: what an earlier version of an artefact holds of photos that are still there need not be made again.

Snakemake keeps the old file where an output is marked `update()`. It may be used again where its lineage is the same: everything
but the photos that its rows depend on (settings, code, vocabulary, ...), in one digest. A row is kept if what it was made from has the
same digest still: the photo's bytes, its features, what of them is masked.
"""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact

_LOG = logging.getLogger("bow2cnn")


def lineage(*parts):
    """Digest of what an artefact was made with: JSON-able parts, and the lineages of its inputs."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def lineage_of(path, kind):
    """The lineage of an artefact."""
    with artefact.Reader(path, kind) as reader:
        return reader.params.get("lineage", "")


def load_previous(path, kind, wanted):
    """The arrays of the artefact that lies at a path if it has the wanted lineage and is sound; None otherwise.

    Raises:
        ReadError: the system does not let it be read.
    """
    if not Path(path).exists():
        return None
    try:
        with artefact.Reader(path, kind) as reader:
            return {name: reader[name] for name in reader.names()} if reader.params.get("lineage") == wanted else None
    except artefact.ArtefactError as error:
        _LOG.warning("nothing is kept of an earlier run: %s", error)
        return None


def log_reuse(stage, new, photos):
    """Log how many of the photos are new, where some are not."""
    if new < photos:
        _LOG.info("%s: %d of %d photos are new", stage, new, photos)


def find_rows(before, now):
    """Row of every photo in an earlier list, int64 [n], -1 where it is new or has changed.

    Args:
        before, now: uint8 [m, 32], [n, 32], digests of what the rows were made from.
    """
    rows = {bytes(content): row for row, content in enumerate(before)}
    return np.array([rows.get(bytes(content), -1) for content in now], np.int64)


def digests(*columns):
    """Digest per photo of what several columns (sequences of bytes-like rows) say of it, uint8 [n, 32]."""
    found = [hashlib.sha256(b"".join(bytes(part) for part in parts)).digest() for parts in zip(*columns, strict=True)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32)
