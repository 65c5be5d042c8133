"""Find the photos below folders and make the rows of a collection from them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.photos.copies import copy_of
from bow2cnn.photos.decode import PhotoError, read_header


def walk(root: str | Path, follow_links: bool = False) -> Iterator[tuple[str, str]]:
    """List the files below a folder, without hidden files and folders.

    Args:
        root: the folder.
        follow_links: follow symbolic links, except those to folders that were visited before.

    Yields:
        (path, reason). The reason says why the file must not be read; it is empty if the file can be read. Links that are not followed and
        folders that cannot be read are listed too.
    """
    unreadable: list[OSError] = []
    been: set[str] = set()
    for folder, folders, files in os.walk(root, onerror=unreadable.append, followlinks=follow_links):
        been.add(os.path.realpath(folder))
        visible = sorted(name for name in folders if not name.startswith("."))
        linked = {name: os.path.join(folder, name) for name in visible if os.path.islink(os.path.join(folder, name))}
        circles = {name for name, path in linked.items() if follow_links and os.path.realpath(path) in been}
        folders[:] = [name for name in visible if name not in (circles if follow_links else linked)]
        for name in sorted({*files, *visible}.difference(folders)):
            path = os.path.join(folder, name)
            if name in circles:
                yield path, "symbolic link to a folder that is read anyway"
            elif not name.startswith("."):
                yield path, "symbolic link" if os.path.islink(path) and not follow_links else ""
    for error in unreadable:
        yield error.filename, f"not readable ({error.strerror})"


def judge_file(path: str, reason: str, read: Callable[[str], dict[str, Any]], seen: dict[str, str]) -> dict[str, Any]:
    """Decide whether a file that `walk` found is a photo of the collection.

    Args:
        path, reason: from `walk`.
        read: makes the row of a path, see `read_row`.
        seen: sha256 to path of the photos so far; a photo is added to it.

    Returns:
        The row of the photo, or {"reason": why the file is rejected}.
    """
    row = {"reason": reason} if reason else read(path)
    if "reason" in row:
        return row
    if row["sha256"] in seen:
        return {"reason": copy_of(seen[row["sha256"]])}
    seen[row["sha256"]] = path
    return row


def read_row(path: str | Path, min_side: int, max_pixels: int) -> dict[str, Any]:
    """Read the header and the sha256 of one file.

    Args:
        path: the file.
        min_side, max_pixels: see `read_header`.

    Returns:
        The dict of `read_header` with `sha256` (64 hexadecimal digits), or {"reason": why the file cannot be used}.
    """
    try:
        header = read_header(path, min_side, max_pixels)
        with open(path, "rb") as file:
            header["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        return header
    except PhotoError as error:
        return {"reason": str(error)}
    except OSError as error:
        return {"reason": f"not readable ({error.strerror})"}


def to_arrays(rows: list[dict[str, Any]], rejected: list[tuple[str, str]]) -> dict[str, Any]:
    """Make the arrays of a `collection` artefact.

    Args:
        rows: one dict per photo, from `read_row`, with `path`, `name` and `shard`.
        rejected: (path, reason) of the rejected files.

    Returns:
        Name to array: `path` and `name` (str), `sha256` uint8 [n, 32], `width` and `height` int32 [n] in pixels of the upright photo,
        `orientation` uint8 [n], `focal` float32 [n] in pixels, `gps` float64 [n, 2] in degrees, `shard` int32 [n], `rejected/path` and
        `rejected/reason` (str).
    """
    return {
        "path": [str(row["path"]) for row in rows],
        "name": [str(row["name"]) for row in rows],
        "sha256": np.array([list(bytes.fromhex(row["sha256"])) for row in rows], np.uint8).reshape(-1, 32),
        "width": np.array([row["width"] for row in rows], np.int32),
        "height": np.array([row["height"] for row in rows], np.int32),
        "orientation": np.array([row["orientation"] for row in rows], np.uint8),
        "focal": np.array([row["focal"] for row in rows], np.float32),
        "gps": np.array([row["gps"] for row in rows], np.float64).reshape(-1, 2),
        "shard": np.array([row["shard"] for row in rows], np.int32),
        "rejected/path": [str(path) for path, _ in rejected],
        "rejected/reason": [reason for _, reason in rejected],
    }
