"""Find photos of the collection by the names that other programs use for them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bow2cnn.photos.copies import copies_of
from bow2cnn.reconstruction.colmap import name_in_colmap


class Found(NamedTuple):
    """The photo of a name.

    Attributes:
        row: of the collection, -1 if no single photo is meant.
        several: several photos may be meant.
        ours: the name is one of our own COLMAP folders (see `name_in_colmap`).
    """

    row: int
    several: bool = False
    ours: bool = False


class KnownNames:
    """Finds photos by names.

    The name of a photo is its path below its folder of `photos`, with slashes or backslashes. If no photo has this name, a photo is found
    whose absolute path is the name or ends with it, in whole folders. A rejected copy with the same bytes has names of its own, which mean
    the photo. A name that several photos have means none of them.

    Args:
        photos: `path`, `name`, `sha256`, `rejected/path` and `rejected/reason` of the collection.
        roots: the folders of `photos`.
    """

    def __init__(self, photos: Mapping, roots: Sequence[str | Path]) -> None:
        self._ours = {name_in_colmap(*photo): row for row, photo in enumerate(zip(photos["sha256"], photos["name"], strict=True))}
        self._exact: dict[tuple[str, ...], set[int]] = {}
        self._by_end: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for path, row in [*zip(photos["path"], range(len(photos["path"])), strict=True), *copies_of(photos)]:
            parts = _parts(os.path.abspath(path))
            self._by_end.setdefault(parts[-1], []).append((parts, row))
            for root in map(_parts, map(os.path.abspath, roots)):
                if parts[: len(root)] == root:
                    self._exact.setdefault(parts[len(root) :], set()).add(row)

    def find(self, name: str) -> Found:
        """Find the photo that a name means."""
        if name in self._ours:
            return Found(self._ours[name], ours=True)
        parts = _parts(name)
        rows = self._exact.get(parts) or {row for whole, row in self._by_end.get(parts[-1], ()) if whole[-len(parts) :] == parts}
        return Found(min(rows)) if len(rows) == 1 else Found(-1, several=len(rows) > 1)


def _parts(name):
    """The folders and the file name of a path of any system; the root is an empty text. Never empty."""
    parts = name.replace("\\", "/").split("/")
    return tuple(part for number, part in enumerate(parts) if part not in ("", ".") or (number == 0 and part == "")) or ("",)
