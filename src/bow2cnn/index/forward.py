"""Forward files: the words of photos, photo by photo, sorted by word within each.

A forward file is a dict of `offset` int64 [n + 1], `word` uint32 [N], `signature` uint64 [N], `feature` int32 [N] and `keypoint`
float32 [N, 6].
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.progress import progress

COLUMNS: dict[str, Any] = {"word": np.uint32, "signature": np.uint64, "feature": np.int32, "keypoint": np.dtype((np.float32, 6))}


def read_words(paths: Sequence[str | Path]) -> dict[str, np.ndarray]:
    """Read the `words` artefacts of all shards as one forward file."""
    parts = [artefact.read(path, "words") for path in paths]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    return {"offset": artefact.offsets(np.concatenate([np.diff(part["offset"]) for part in parts])), **arrays}


def drop_features(forward: dict[str, np.ndarray], keep: np.ndarray) -> dict[str, np.ndarray]:
    """A forward file with only the features where `keep` is true, bool [N]."""
    before = np.concatenate([[0], np.cumsum(keep)])
    kept = {name: array[keep] for name, array in forward.items() if name != "offset"}
    return {"offset": before[forward["offset"]], **kept}


class ForwardIndex:
    """A forward file in memory, with the methods of `ForwardFiles`.

    Args:
        arrays: the forward file.

    Attributes:
        offset: of the photos' features, int64 [n + 1].
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays, self.offset = arrays, arrays["offset"]

    def iter_shards(self, progress_label: str) -> Iterator[dict[str, np.ndarray]]:
        """Yield the forward file of every shard (here the only one); `progress_label` names the progress bar."""
        yield self._arrays

    def photo(self, number: int) -> dict[str, np.ndarray]:
        """The arrays of one photo by the names in `COLUMNS`."""
        rows = slice(*self.offset[number : number + 2])
        return {name: self._arrays[name][rows] for name in COLUMNS}


class ForwardFiles:
    """The `words` artefacts of all shards, read when they are needed.

    Args:
        paths: in the order of the shards.

    Attributes:
        offset: of the photos' features, int64 [n + 1].
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths, self._readers = paths, [artefact.Reader(path, "words") for path in paths]
        offsets = [reader["offset"] for reader in self._readers]
        self.offset = artefact.offsets(np.concatenate([np.zeros(0, np.int64), *map(np.diff, offsets)]))
        self._first = artefact.offsets([len(offset) - 1 for offset in offsets])

    def iter_shards(self, progress_label: str) -> Iterator[dict[str, np.ndarray]]:
        """Yield the forward file of every shard; `progress_label` names the progress bar."""
        for path in progress(self._paths, progress_label):
            yield artefact.read(path, "words", [*COLUMNS, "offset"])

    def photo(self, number: int) -> dict[str, np.ndarray]:
        """The arrays of one photo by the names in `COLUMNS`."""
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        start, stop = self.offset[number : number + 2] - self.offset[self._first[shard]]
        return {name: self._readers[shard].part(name, start, stop) for name in COLUMNS}
