"""A trained vocabulary: descriptors to visual words and binary signatures."""

import numba
import numpy as np

from bow2cnn import artefact
from bow2cnn.vocabulary.kmeans import nearest

SIGNATURE_BITS = 64
_PROBES = 4  # coarse cells searched per descriptor
_AT_ONCE = 1 << 20  # descriptors that are assigned together


class Vocabulary:
    """K = c f words in two levels: word = cell * f + fine.

    Attributes:
        coarse: float32 [c, 128]; fine: float16 [c, f, 128]; projection: float32 [64, 128]; threshold: float16 [K, 64]. (Descriptors are
            bytes; half precision is off by a sixteenth at most, and halves what millions of words take.)
    """

    def __init__(self, coarse, fine, projection, threshold, threads=1):
        self.coarse, self.fine, self.projection, self.threshold, self._threads = coarse, fine, projection, threshold, threads

    @classmethod
    def load(cls, path, threads=1):
        arrays = artefact.read(path, "vocabulary")
        return cls(arrays["coarse"], arrays["fine"], arrays["projection"], arrays["threshold"], threads)

    def __len__(self):
        return self.fine.shape[0] * self.fine.shape[1]

    def arrays(self):
        """What an artefact of it holds."""
        return {"coarse": self.coarse, "fine": self.fine, "projection": self.projection, "threshold": self.threshold}

    def assign(self, descriptors, count=1):
        """Nearest words among the four nearest coarse cells: int64 [n] (or [n, count], nearest first; fewer where the cells have fewer)."""
        count = min(count, min(_PROBES, len(self.coarse)) * self.fine.shape[1])
        words = np.zeros((len(descriptors), count), np.int64)
        for start in range(0, len(descriptors), _AT_ONCE):
            block = np.ascontiguousarray(descriptors[start : start + _AT_ONCE], np.float32)
            self._assign_block(block, words[start : start + _AT_ONCE])
        return words[:, 0] if count == 1 else words

    def _assign_block(self, descriptors, words):
        """Fill `words` int64 [n, count] of descriptors float32 [n, 128]."""
        probes = min(_PROBES, len(self.coarse))
        cells = nearest(descriptors, self.coarse, self._threads, probes).reshape(len(descriptors), probes)
        distances = np.full(words.shape, np.inf, np.float32)
        for probe in range(probes):
            self._assign_in_cells(descriptors, cells[:, probe], words, distances)

    def _assign_in_cells(self, descriptors, cells, words, distances):
        order = np.argsort(cells, kind="stable")
        starts = np.searchsorted(cells[order], np.arange(len(self.coarse) + 1))
        for cell in range(len(self.coarse)):
            rows = order[starts[cell] : starts[cell + 1]]
            if len(rows):
                fine = self.fine[cell].astype(np.float32)
                squared = (fine**2).sum(1) - 2 * (descriptors[rows] @ fine.T)
                _keep_nearest(squared, rows, cell * len(fine), (descriptors[rows] ** 2).sum(1), words, distances)

    def sign(self, descriptors, words):
        """Binary signatures uint64 [n]: bit b says whether projected component b exceeds its median in the word."""
        bits = (np.asarray(descriptors, np.float32) @ self.projection.T) > self.threshold[words]
        return np.packbits(bits, axis=1, bitorder="little").view(np.uint64).ravel()


@numba.njit(cache=True, nogil=True)
def _keep_nearest(squared, rows, first_word, norms, words, distances):
    """Merge the distances to one cell's words into the running list of the nearest words of every descriptor."""
    count = words.shape[1]
    for i in range(squared.shape[0]):
        row = rows[i]
        for j in range(squared.shape[1]):
            distance = squared[i, j] + norms[i]
            if distance < distances[row, count - 1]:
                k = count - 1
                while k > 0 and distance < distances[row, k - 1]:
                    distances[row, k] = distances[row, k - 1]
                    words[row, k] = words[row, k - 1]
                    k -= 1
                distances[row, k] = distance
                words[row, k] = first_word + j
