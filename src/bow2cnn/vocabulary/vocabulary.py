"""A trained vocabulary: descriptors to visual words and binary signatures."""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.features.distances import distance_pool
from bow2cnn.vocabulary.nearest import NONE, nearest

SIGNATURE_BITS = 64
_PROBES = 4  # coarse cells searched per descriptor
_AT_ONCE = 256  # descriptors whose cells a thread finds


class Vocabulary:
    """Words in two levels: word = cell * f + row of the fine centroids, of which a cell has f at most.

    Attributes:
        coarse: uint8 [c, 128]; fine: uint8 [c, f, 128]; size: int32 [c], fine centroids of a cell, at least one; projection: float32
            [64, 128]; threshold: float16 [c f, 64]. (Descriptors are bytes, and so are centroids: rounding
            moves one by sqrt(128 / 12) = 3.3, where two views of a point differ by a hundred.)
    """

    def __init__(self, coarse, fine, size, projection, threshold=None, threads=1):
        self.coarse, self.fine, self.size, self.projection, self.threshold = coarse, fine, size, projection, threshold
        self._threads = threads

    @classmethod
    def load(cls, path, threads=1):
        return cls(**artefact.read(path, "vocabulary"), threads=threads)

    def __len__(self):
        return self.fine.shape[0] * self.fine.shape[1]

    def arrays(self):
        """What an artefact of it holds."""
        return {name: getattr(self, name) for name in ("coarse", "fine", "size", "projection", "threshold")}

    def assign(self, descriptors, count=1):
        """Nearest words among the four nearest coarse cells.

        Args:
            descriptors: uint8 [n, 128].

        Returns:
            int64 [n] (or [n, count], nearest first; fewer where the cells have fewer).
        """
        probes = min(_PROBES, len(self.coarse))
        count = min(count, int(np.sort(self.size)[:probes].sum()))
        with distance_pool(self._threads) as pool:
            cells = nearest_cells(descriptors, self.coarse, probes, pool)
            words, distances = self._search_cells(descriptors, cells, count, pool)
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        words = np.take_along_axis(words, order, axis=1)
        return words[:, 0] if count == 1 else words

    def _search_cells(self, descriptors, cells, count, pool):
        """The nearest `count` words of each of the `cells` [n, p] of a descriptor: int64 [n, p count], and their distances int32."""
        words, distances = np.zeros((cells.size, count), np.int64), np.full((cells.size, count), NONE, np.int32)
        order = np.argsort(cells, axis=None, kind="stable")
        bounds = np.searchsorted(cells.ravel()[order], np.arange(len(self.coarse) + 1))

        def search(cell):
            asked = order[bounds[cell] : bounds[cell + 1]]
            rows, distances[asked] = nearest(descriptors[asked // cells.shape[1]], self.fine[cell, : self.size[cell]], count)
            words[asked] = cell * self.fine.shape[1] + rows

        for _ in pool.map(search, np.flatnonzero(np.diff(bounds))):
            pass
        shape = len(cells), cells.shape[1] * count
        return words.reshape(shape), distances.reshape(shape)

    def sign(self, descriptors, words):
        """Binary signatures uint64 [n]: bit b says whether projected component b exceeds its median in the word."""
        bits = (np.asarray(descriptors, np.float32) @ self.projection.T) > self.threshold[words]
        return np.packbits(bits, axis=1, bitorder="little").view(np.uint64).ravel()


def nearest_cells(descriptors, coarse, count, pool):
    """Rows int32 [n, count] of the nearest coarse centroids."""
    parts = [descriptors[start : start + _AT_ONCE] for start in range(0, len(descriptors), _AT_ONCE)]
    return np.concatenate([np.zeros((0, count), np.int32), *pool.map(lambda part: nearest(part, coarse, count)[0], parts)])
