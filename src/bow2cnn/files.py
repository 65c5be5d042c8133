"""Files that are written whole or not at all."""

import contextlib
import glob
import os
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """The path of a temporary file in the same folder, which takes the place of `path` when the block ends well.

    Whatever else happens, the old file stays as it was. What writers of the same file left behind when they were killed is removed.

    Args:
        path: where; parent folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        left.unlink(missing_ok=True)


def write_bytes(path, content):
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
