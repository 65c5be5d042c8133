"""Random access to the features of a collection that lie in one file per shard."""

import threading
from collections import OrderedDict

import numpy as np

from bow2cnn.core import artefact


class FeatureStore:
    """Features by row of the collection; the most recently used photos stay in memory.

    Args:
        paths: `features` artefacts in the order of the shards.
        capacity: photos kept in memory (about 0.4 MB each).
    """

    def __init__(self, paths, capacity=4000):
        self._readers = [artefact.Reader(path, "features") for path in paths]
        self._offsets = [reader["offset"] for reader in self._readers]
        self._first = np.cumsum([0] + [len(offset) - 1 for offset in self._offsets])
        self._capacity, self._recent, self._lock = capacity, OrderedDict(), threading.Lock()

    def __len__(self):
        return int(self._first[-1])

    def __getitem__(self, photo):
        """keypoint float32 [N, 6] and descriptor uint8 [N, 128] of one photo."""
        with self._lock:
            found = self._recent.pop(photo, None) or self._load(photo)
            self._recent[photo] = found
            if len(self._recent) > self._capacity:
                self._recent.popitem(last=False)
            return found

    def keypoints(self, photo):
        """keypoint float32 [N, 6] alone."""
        return self._part(photo, "keypoint")

    def scale(self, photo: int) -> np.ndarray:
        """How many pixels of the full photo a pixel of the searched one is, along x and y: float32 [2]."""
        shard, row = self._place(photo)
        return self._readers[shard].part("scale", row, row + 1)[0]

    def _load(self, photo):
        return self._part(photo, "keypoint"), self._part(photo, "descriptor")

    def _part(self, photo, name):
        shard, row = self._place(photo)
        start, stop = self._offsets[shard][row : row + 2]
        return self._readers[shard].part(name, start, stop)

    def _place(self, photo):
        """Number of the photo's shard, and its row there."""
        shard = int(np.searchsorted(self._first, photo, side="right")) - 1
        return shard, photo - int(self._first[shard])
