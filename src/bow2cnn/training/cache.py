"""Decoded and shrunk photos in one file on disk, because decoding them again every epoch would be waste."""

import dataclasses
import hashlib
import json
import logging
from functools import partial
from pathlib import Path

import numpy as np

from bow2cnn.core.atomic_files import ChecksumError, atomic_write, read_checksummed, write_checksummed
from bow2cnn.core.printable import printable
from bow2cnn.core.progress import progress
from bow2cnn.network.workers import Workers
from bow2cnn.photos.decode import PhotoError

_LOG = logging.getLogger("bow2cnn")
_LIMIT = 4 * 2**30  # bytes; photos beyond it are decoded whenever they are needed


class PhotoCache:
    """Photos of a collection by row.

    Args:
        folder: for the file; it is found again by a later run.
        paths: of all photos of the collection.
        rows: the ones to keep ready.
        input: `Input` of the network that is to see them.
        image_size: longer side in pixels.
        threads: for decoding.
        key: text that changes when the photos do.
        limit: bytes of the file.

    Attributes:
        missing: bool [n], wanted photos that cannot be decoded.
    """

    def __init__(self, folder, paths, rows, input, image_size, threads, key, limit=_LIMIT):
        folder = Path(folder)
        self._paths, self._input, self._image_size = paths, input, image_size
        self._arguments = {"folder": folder, "threads": threads, "key": key, "limit": limit}
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

    def __getitem__(self, row):
        """A photo as `Input.load` gives it; not to be written to."""
        if row not in self._place:
            return self._input.load(self._paths[row], self._image_size)
        start, shape = self._place[row]
        return self._pixels[start : start + int(np.prod(shape))].reshape(shape)

    def load(self, row):
        """A function that returns the photo."""
        return partial(self.__getitem__, int(row))

    def at_size(self, image_size: int, rows: np.ndarray) -> "PhotoCache":
        """These photos at another size, in a file of their own below the folder; the cache itself where the size is its own.

        Args:
            image_size: longer side in pixels.
            rows: int [r], the ones to keep ready.
        """
        if image_size == self._image_size:
            return self
        options = self._arguments | {"folder": self._arguments["folder"] / f"{image_size}px"}
        return PhotoCache(paths=self._paths, rows=rows, input=self._input, image_size=image_size, **options)

    def blank(self):
        """What stands for a photo that is gone."""
        return self._input.blank(self._image_size, self._image_size)

    def _find(self, key):
        """What an earlier run wrote, see `_fill`; None where it is not there, damaged or of other photos.

        Raises:
            OSError: the system does not let it be read.
        """
        try:
            found = json.loads(read_checksummed(self._list, key))
            with open(self._data, "rb") as file:
                return found if hashlib.file_digest(file, "sha256").hexdigest() == found["sha256"] else None
        except (FileNotFoundError, ChecksumError):
            return None

    def _fill(self, rows, threads, limit):
        """Write the file: `photos` (row, start, shape) in it, rows that are `missing`, and its `sha256`."""
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
