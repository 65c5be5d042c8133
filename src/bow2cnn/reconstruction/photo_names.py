"""Photos of the collection by the names that other programs have for them."""

import os
from typing import NamedTuple

from bow2cnn.photos.copies import copies_of
from bow2cnn.reconstruction.colmap import name_in_colmap


class Found(NamedTuple):
    """A photo by name. `row` of the collection, -1 where there is none; `several`: because more than one photo may be meant; `ours`: the
    name is one that our own COLMAP folders have.
    """

    row: int
    several: bool = False
    ours: bool = False


class KnownNames:
    """Finds photos by names.

    A photo has its path below its folder of `photos` as a name, whatever the system's slashes; where no photo has the name, it may be the
    end of a photo's whole path, by whole folders, or all of it. A copy with the same bytes is the photo too, under its own name. A name
    that several photos have is nobody's.

    Args:
        photos: `path`, `name`, `sha256`, `rejected/path` and `rejected/reason` of the collection.
        roots: the folders of `photos`.
    """

    def __init__(self, photos, roots):
        self._ours = {name_in_colmap(*photo): row for row, photo in enumerate(zip(photos["sha256"], photos["name"], strict=True))}
        self._exact, self._by_end = {}, {}
        for path, row in [*zip(photos["path"], range(len(photos["path"])), strict=True), *copies_of(photos)]:
            parts = _parts(os.path.abspath(path))
            self._by_end.setdefault(parts[-1], []).append((parts, row))
            for root in map(_parts, map(os.path.abspath, roots)):
                if parts[: len(root)] == root:
                    self._exact.setdefault(parts[len(root) :], set()).add(row)

    def find(self, name: str) -> Found:
        """The photo of a name."""
        if name in self._ours:
            return Found(self._ours[name], ours=True)
        parts = _parts(name)
        rows = self._exact.get(parts) or {row for whole, row in self._by_end.get(parts[-1], ()) if whole[-len(parts) :] == parts}
        return Found(*rows) if len(rows) == 1 else Found(-1, several=len(rows) > 1)


def _parts(name):
    """Folders and file of a path of any system, its root (an empty text) among them; never empty."""
    parts = name.replace("\\", "/").split("/")
    return tuple(part for number, part in enumerate(parts) if part not in ("", ".") or (number == 0 and part == "")) or ("",)
