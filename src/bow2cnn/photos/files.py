"""Files below folders: which of them are photos of a collection, and the rows of those that are."""

import hashlib
import os
from collections.abc import Callable

import numpy as np

from bow2cnn.photos.copies import copy_of
from bow2cnn.photos.decode import PhotoError, read_header


def walk(root, follow_links=False):
    """(path, reason why it is not even looked at, or an empty string) of everything below a folder that is not hidden.

    Args:
        root: the folder.
        follow_links: links are followed, but for those to folders that a link or the way to it has led through before.
    """
    unreadable, been = [], set()
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


def judge_file(path: str, reason: str, read: Callable, seen: dict) -> dict:
    """What a file that `walk` found is: its row, or only the `reason` why it is no photo of its own.

    Args:
        path, reason: as `walk` gives them.
        read: path to row, see `read_row`.
        seen: sha256 to path of the photos so far; this one joins them.
    """
    row = {"reason": reason} if reason else read(path)
    if "reason" in row:
        return row
    if row["sha256"] in seen:
        return {"reason": copy_of(seen[row["sha256"]])}
    seen[row["sha256"]] = path
    return row


def read_row(path, min_side, max_pixels):
    """Header and sha256 of one file, or {"reason": why it is no photo}."""
    try:
        header = read_header(path, min_side, max_pixels)
        with open(path, "rb") as file:
            header["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        return header
    except PhotoError as error:
        return {"reason": str(error)}
    except OSError as error:
        return {"reason": f"not readable ({error.strerror})"}


def to_arrays(rows, rejected):
    """The arrays of a collection artefact from row dicts and (path, reason) pairs."""
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
