"""Keeps decoded and shrunk photos in one file on disk, so that they are not decoded again in every epoch."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.core.atomic_files import ChecksumError, atomic_write, read_checksummed, write_checksummed
from bow2cnn.core.printable import printable
from bow2cnn.core.progress import progress
from bow2cnn.network.input import Input
from bow2cnn.network.workers import Workers
from bow2cnn.photos.decode import PhotoError

_LOG = logging.getLogger("bow2cnn")
_LIMIT = 4 * 2**30  # bytes of the file; photos for which it has no room are decoded whenever they are needed


class PhotoCache:
    """Photos of a collection by row.

    Args:
        folder: folder of the file; a later run with the same arguments finds it again.
        paths: of all photos of the collection.
        rows: int [k], the photos that the file holds.
        input: how a file becomes what the network sees.
        image_size: longer side, in pixels.
        threads: number of threads that decode.
        key: text that changes when the photos do.
        limit: maximum size of the file, in bytes.

    Attributes:
        missing: bool [n], photos of `rows` that cannot be decoded.

    Raises:
        WriteError: the disk is full or not writable.
        OSError: the operating system refuses to read the file.
    """

    def __init__(
        self,
        folder: str | Path,
        paths: Sequence[str | Path],
        rows: Sequence[int] | np.ndarray,
        input: Input,
        image_size: int,
        threads: int,
        key: str,
        limit: int = _LIMIT,
    ) -> None:
        folder = Path(folder)
        self._paths, self._input, self._image_size = paths, input, image_size
        self._arguments: dict[str, Any] = {"folder": folder, "threads": threads, "key": key, "limit": limit}
        self._data, self._list = folder / "photos.bin", folder / "photos.list"
        key = json.dumps([key, dataclasses.asdict(input), image_size, limit, *map(int, rows)])
        found = self._find(key)
        if found is None:
            found = self._fill(rows, threads, limit)
            write_checksummed(self._list, key, json.dumps(found).encode())
        self._place = {row: (start, tuple(shape)) for row, start, shape in found["photos"]}
        self.missing = np.zeros(len(paths), bool)
        self.missing[found["missing"]] = True
        self._pixels = np.memmap(self._data, np.uint8, "r") if self._data.stat().st_size else np.zeros(0, np.uint8)

    def __getitem__(self, row: int) -> np.ndarray:
        """A photo, uint8 [h, w, c] as `Input.load` returns it; it must not be changed.

        Raises:
            PhotoError: the photo is not in the file and cannot be decoded.
        """
        if row not in self._place:
            return self._input.load(self._paths[row], self._image_size)
        start, shape = self._place[row]
        return self._pixels[start : start + int(np.prod(shape))].reshape(shape)

    def load(self, row: int) -> Callable[[], np.ndarray]:
        """A function that returns a photo."""
        return partial(self.__getitem__, int(row))

    def at_size(self, image_size: int, rows: np.ndarray) -> "PhotoCache":
        """Cache of the same photos at another size, in a file of its own below the folder; this cache if the size is the same.

        Args:
            image_size: longer side in pixels.
            rows: int [r] photos to decode at once.
        """
        if image_size == self._image_size:
            return self
        options = self._arguments | {"folder": self._arguments["folder"] / f"{image_size}px"}
        return PhotoCache(paths=self._paths, rows=rows, input=self._input, image_size=image_size, **options)

    def blank(self) -> np.ndarray:
        """The grey photo, uint8 [h, w, c], that replaces a photo which cannot be read any more."""
        return self._input.blank(self._image_size, self._image_size)

    def _find(self, key):
        """The result of an earlier `_fill`; None if there is none, or if it is damaged or of other photos."""
        try:
            found = json.loads(read_checksummed(self._list, key))
            with open(self._data, "rb") as file:
                return found if hashlib.file_digest(file, "sha256").hexdigest() == found["sha256"] else None
        except (FileNotFoundError, ChecksumError):
            return None

    def _fill(self, rows, threads, limit):
        """Write the file. Returns the `photos` in it (row, start, shape), the rows that are `missing`, and its `sha256`."""
        rows = [int(row) for row in rows]
        photos, missing, size, digest = [], [], 0, hashlib.sha256()
        with atomic_write(self._data) as temporary, open(temporary, "wb") as file, Workers(threads) as workers:
            loaded = workers.map(self._try, rows)
            for row, photo in zip(rows, progress(loaded, "photos", len(rows)), strict=True):
                if photo is None:
                    missing.append(row)
                elif size + photo.size <= limit:
                    content = photo.tobytes()
                    file.write(content)
                    digest.update(content)
                    photos.append((row, size, photo.shape))
                    size += photo.size
        return {"photos": photos, "missing": missing, "sha256": digest.hexdigest()}

    def _try(self, row):
        try:
            return self._input.load(self._paths[row], self._image_size)
        except PhotoError as error:
            _LOG.warning("training: %s is left out: %s", printable(str(self._paths[row])), error)
            return None
