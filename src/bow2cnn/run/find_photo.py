"""The row of a photo that a user names."""

import hashlib
import os
from pathlib import Path

import numpy as np

from bow2cnn.photos.copies import copies_of
from bow2cnn.photos.reasons import list_kinds
from bow2cnn.run.arrays import Arrays


class UnknownPhoto(ValueError):
    """The run does not know the photo; the message says why, or what to do."""


def find_photo(photos: Arrays, photo: str | Path) -> int:
    """Row of a photo of the collection: by its path, by the bytes of a file, or by the end of a path that only one photo has.

    A file with the bytes of a photo is that photo.

    Args:
        photos: the collection.
        photo: path or name.

    Raises:
        UnknownPhoto: the photo is not in the collection; with the reason where the scan rejected it.
    """
    # Row of every path, or the reason why the file was rejected. Photos come last, because links lead to some of them.
    known: dict[str, int | str] = dict(zip(photos["rejected/path"], photos["rejected/reason"], strict=True))
    known |= dict(copies_of(photos))
    known |= {path: row for row, path in enumerate(photos["path"])}
    found = {os.path.realpath(path): what for path, what in known.items()}.get(os.path.realpath(photo))
    if found is None and os.path.isfile(photo):
        return _find_content(photos, photo)
    ends = [what for path, what in known.items() if path.endswith(os.sep + str(photo))] if found is None else [found]
    rows, reasons = {what for what in ends if isinstance(what, int)}, [what for what in ends if isinstance(what, str)]
    if len(rows) == 1:
        return rows.pop()
    if rows:
        raise UnknownPhoto(f"{len(rows)} photos of the collection have this name")
    if reasons:
        raise UnknownPhoto(f"is not in the collection: {reasons[0] if len(reasons) == 1 else list_kinds(reasons)}")
    raise UnknownPhoto("no such file, and no photo of that name")


def _find_content(photos, photo):
    with open(photo, "rb") as file:
        content = np.frombuffer(hashlib.file_digest(file, "sha256").digest(), np.uint8)
    rows = np.flatnonzero((photos["sha256"] == content).all(1))
    if not len(rows):
        raise UnknownPhoto("is not in the collection; `python -m bow2cnn search` shows what it is like")
    return int(rows[0])
