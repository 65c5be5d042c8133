"""Files of the user's that are no photos (weights, ground truth, a database, models): followed by their bytes, not by their times."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

_KNOWN = "BOW2CNN_CONTENT"  # in the environment: what the jobs of a run need not read again


def content_of(paths: Iterable[str | Path]) -> str:
    """Digest of what is in some files. It is made once a run: the jobs, which plan again, find it in their environment.

    Raises:
        OSError: one cannot be read.
    """
    paths = [str(path) for path in paths]
    if not paths:
        return ""
    known = json.loads(os.environ.get(_KNOWN, "{}"))
    names = hashlib.sha256("\0".join(paths).encode(errors="surrogateescape")).hexdigest()[:16]
    if names not in known:
        total = hashlib.sha256()
        for path in paths:
            with open(path, "rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        known[names] = total.hexdigest()[:16]
        os.environ[_KNOWN] = json.dumps(known)
    return known[names]
