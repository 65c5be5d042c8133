"""The user's files other than photos (weights, ground truth, a database, models). Changes are found by their bytes, not by their times."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

_KNOWN = "BOW2CNN_CONTENT"  # environment variable: digests that the jobs of a run need not compute again


def content_of(paths: Iterable[str | Path]) -> str:
    """Digest of the contents of files. It is computed once per run: the jobs, which plan again, find it in their environment.

    Raises:
        OSError: one cannot be read.
    """
    names = [str(path) for path in paths]
    if not names:
        return ""
    known = json.loads(os.environ.get(_KNOWN, "{}"))
    key = hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()[:16]
    if key not in known:
        total = hashlib.sha256()
        for path in names:
            with open(path, "rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        known[key] = total.hexdigest()[:16]
        os.environ[_KNOWN] = json.dumps(known)
    return known[key]
