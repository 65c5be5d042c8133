"""Random access to the features of a collection, which are stored in one file per shard."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact


class FeatureStore:
    """Features by row of the collection; those of the photos used most recently stay in memory.

    Args:
        paths: the `features` artefacts in the order of the shards.
        capacity: number of photos kept in memory (about 0.4 MB each).
    """

    def __init__(self, paths: Sequence[str | Path], capacity: int = 4000) -> None:
        self._readers = [artefact.Reader(path, "features") for path in paths]
        self._offsets = [reader["offset"] for reader in self._readers]
        self._first = np.cumsum([0] + [len(offset) - 1 for offset in self._offsets])
        self._capacity, self._lock = capacity, threading.Lock()
        self._recent: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, photo: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Keypoints float32 [N, 6] and descriptors uint8 [N, 128] of a photo."""
        with self._lock:
            found = self._recent.pop(photo, None) or self._load(photo)
            self._recent[photo] = found
            if len(self._recent) > self._capacity:
                self._recent.popitem(last=False)
            return found

    def keypoints(self, photo: int) -> NDArray[np.float32]:
        """Keypoints of a photo, float32 [N, 6]; see `bow2cnn.features.sift.detect`."""
        return self._part(photo, "keypoint")

    def scale(self, photo: int) -> NDArray[np.float32]:
        """Factors along x and y from the pixels in which features were detected to those of the full photo, float32 [2]."""
        shard, row = self._place(photo)
        return self._readers[shard].part("scale", row, row + 1)[0]

    def _load(self, photo):
        return self._part(photo, "keypoint"), self._part(photo, "descriptor")

    def _part(self, photo, name):
        shard, row = self._place(photo)
        start, stop = self._offsets[shard][row : row + 2]
        return self._readers[shard].part(name, start, stop)

    def _place(self, photo):
        """The number of the photo's shard, and the photo's row in it."""
        shard = int(np.searchsorted(self._first, photo, side="right")) - 1
        return shard, photo - int(self._first[shard])
