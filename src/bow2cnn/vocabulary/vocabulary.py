"""A trained vocabulary, which turns descriptors into visual words and binary signatures."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact
from bow2cnn.features.distances import distance_pool
from bow2cnn.vocabulary.binary_signature import signatures
from bow2cnn.vocabulary.nearest import NONE, nearest

_PROBES = 4  # coarse cells searched per descriptor
_AT_ONCE = 256  # descriptors whose cells a thread finds at a time


class Vocabulary:
    """Words in two levels. A cell has at most f fine centroids, and a word is cell * f + row of its fine centroid in the cell.

    Descriptors are bytes, and so are centroids: rounding moves a centroid by sqrt(128 / 12) = 3.3, while two views of a point differ by
    about a hundred.

    Attributes:
        coarse: centroids of the cells, uint8 [c, 128].
        fine: fine centroids, uint8 [c, f, 128].
        size: number of fine centroids of each cell, at least one, int32 [c].
        projection: of the signatures, float32 [64, 128].
        threshold: of the projected components of each word, float16 [c f, 64].
    """

    def __init__(
        self,
        coarse: np.ndarray,
        fine: np.ndarray,
        size: np.ndarray,
        projection: np.ndarray,
        threshold: np.ndarray | None = None,
        threads: int = 1,
    ) -> None:
        self.coarse, self.fine, self.size, self.projection, self.threshold = coarse, fine, size, projection, threshold
        self._threads = threads

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> "Vocabulary":
        """Read a `vocabulary` artefact; words are then found with a number of threads.

        Raises:
            ArtefactError: the file cannot be read.
        """
        return cls(**artefact.read(path, "vocabulary"), threads=threads)

    def __len__(self) -> int:
        return self.fine.shape[0] * self.fine.shape[1]

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a `vocabulary` artefact: the attributes by name."""
        return {name: getattr(self, name) for name in ("coarse", "fine", "size", "projection", "threshold")}

    def assign(self, descriptors: np.ndarray, count: int = 1) -> NDArray[np.int64]:
        """Find the nearest words of descriptors among those of the four nearest cells.

        Args:
            descriptors: uint8 [n, 128].
            count: number of words per descriptor.

        Returns:
            int64 [n] for one word; int64 [n, count] for several, nearest first (fewer columns where the smallest cells have fewer words).
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
        """The nearest words of descriptors in their cells.

        Args:
            descriptors: uint8 [n, 128].
            cells: cells of each descriptor, int32 [n, p].
            count: number of words per cell.
            pool: of threads.

        Returns:
            words int64 [n, p count], and their squared distances int32 [n, p count].
        """
        words, distances = np.zeros((cells.size, count), np.int64), np.full((cells.size, count), NONE, np.int32)
        order = np.argsort(cells, axis=None, kind="stable")
        bounds = np.searchsorted(cells.ravel()[order], np.arange(len(self.coarse) + 1))

        def search(cell):
            places = order[bounds[cell] : bounds[cell + 1]]
            rows, distances[places] = nearest(descriptors[places // cells.shape[1]], self.fine[cell, : self.size[cell]], count)
            words[places] = cell * self.fine.shape[1] + rows

        for _ in pool.map(search, np.flatnonzero(np.diff(bounds))):
            pass
        shape = len(cells), cells.shape[1] * count
        return words.reshape(shape), distances.reshape(shape)

    def sign(self, descriptors: np.ndarray, words: np.ndarray) -> NDArray[np.uint64]:
        """Binary signatures uint64 [n] of descriptors uint8 [n, 128] in their words int [n]; see `signatures`."""
        assert self.threshold is not None
        return signatures(descriptors, self.projection, self.threshold[words])


def nearest_cells(descriptors: np.ndarray, coarse: np.ndarray, count: int, pool: ThreadPoolExecutor) -> NDArray[np.int32]:
    """Rows of the nearest coarse centroids uint8 [c, 128] of descriptors uint8 [n, 128], int32 [n, count], nearest first."""
    parts = [descriptors[start : start + _AT_ONCE] for start in range(0, len(descriptors), _AT_ONCE)]
    return np.concatenate([np.zeros((0, count), np.int32), *pool.map(lambda part: nearest(part, coarse, count)[0], parts)])
