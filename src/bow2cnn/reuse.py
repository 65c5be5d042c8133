"""Growing collections: what an earlier version of an artefact holds of photos that are still there need not be made again.

Snakemake keeps the old file where an output is marked `update()`. It may be used again where its lineage is the same: everything
but the photos that its rows depend on (settings, code, vocabulary, ...), in one digest. Photos are the same when their bytes are.
"""

import hashlib
import json
import logging

import numpy as np

from bow2cnn import artefact

_LOG = logging.getLogger("bow2cnn")


def lineage(*parts):
    """Digest of what an artefact was made with: JSON-able parts, and the lineages of its inputs."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def lineage_of(path, kind):
    """The lineage of an artefact."""
    with artefact.Reader(path, kind) as reader:
        return reader.params.get("lineage", "")


def earlier(path, kind, wanted):
    """A `Reader` of the artefact that lies at a path if it has the wanted lineage and is sound; None otherwise."""
    try:
        reader = artefact.Reader(path, kind)
        if reader.params.get("lineage") == wanted:
            for name in reader.names():
                reader[name]
            return reader
    except artefact.ArtefactError:
        pass
    return None


def tell(stage, new, photos):
    """Log how many of the photos are new, where some are not."""
    if new < photos:
        _LOG.info("%s: %d of %d photos are new", stage, new, photos)


def find_rows(earlier_sha256, sha256):
    """Row of every photo in an earlier list, int64 [n], -1 where it is new.

    Args:
        earlier_sha256, sha256: uint8 [m, 32], [n, 32].
    """
    rows = {bytes(sha): row for row, sha in enumerate(earlier_sha256)}
    return np.array([rows.get(bytes(sha), -1) for sha in sha256], np.int64)
