"""Forward files: the words of photos, photo by photo, sorted by word within each.

A dict of `offset` int64 [n + 1], `word` uint32 [N], `signature` uint64 [N], `feature` int32 [N] and `keypoint` float32 [N, 6].
"""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.progress import progress

COLUMNS = {"word": np.uint32, "signature": np.uint64, "feature": np.int32, "keypoint": np.dtype((np.float32, 6))}


def read_words(paths):
    """The forward file of all shards."""
    parts = [artefact.read(path, "words") for path in paths]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    return {"offset": artefact.offsets(np.concatenate([np.diff(part["offset"]) for part in parts])), **arrays}


def drop_features(forward, keep):
    """A forward file with only the features of `keep`, bool [N]."""
    before = np.concatenate([[0], np.cumsum(keep)])
    kept = {name: array[keep] for name, array in forward.items() if name != "offset"}
    return {"offset": before[forward["offset"]], **kept}


class ForwardIndex:
    """A forward file in memory. What `ForwardFiles` is on disk.

    Attributes:
        offset: int64 [n + 1], of the photos' features.
    """

    def __init__(self, arrays):
        self._arrays, self.offset = arrays, arrays["offset"]

    def pieces(self, progress_label):
        """The forward files that it consists of, with a progress bar named `progress_label`."""
        yield self._arrays

    def photo(self, number):
        """The columns of one photo."""
        rows = slice(*self.offset[number : number + 2])
        return {name: self._arrays[name][rows] for name in COLUMNS}


class ForwardFiles:
    """The `words` artefacts of all shards, read as they are needed.

    Attributes:
        offset: as in `ForwardIndex`.
    """

    def __init__(self, paths):
        self._paths, self._readers = paths, [artefact.Reader(path, "words") for path in paths]
        offsets = [reader["offset"] for reader in self._readers]
        self.offset = artefact.offsets(np.concatenate([np.zeros(0, np.int64), *map(np.diff, offsets)]))
        self._first = artefact.offsets([len(offset) - 1 for offset in offsets])

    def pieces(self, progress_label):
        for path in progress(self._paths, progress_label):
            yield artefact.read(path, "words", [*COLUMNS, "offset"])

    def photo(self, number):
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        start, stop = self.offset[number : number + 2] - self.offset[self._first[shard]]
        return {name: self._readers[shard].part(name, start, stop) for name in COLUMNS}
