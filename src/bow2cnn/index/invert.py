"""Building of an index from forward files, shard by shard. It needs memory for one shard and for a few numbers per photo and per word."""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import write_errors
from bow2cnn.index.engine import first_of_word, word_weights
from bow2cnn.index.forward import COLUMNS

_POSTINGS: dict[str, Any] = {"photo": np.int32, "posting_signature": np.uint64, "weight": np.float32}
_BLOCK = 1 << 22  # features that are sorted at once


def index_arrays(forward: dict[str, np.ndarray], size: np.ndarray, word_count: int) -> dict[str, np.ndarray]:
    """The arrays of an index in memory, see `assemble`, from one forward file."""
    return assemble([forward], len(forward["word"]), size, word_count, np.empty)


def assemble(
    shards: Iterable[dict[str, np.ndarray]],
    total: int,
    size: np.ndarray,
    word_count: int,
    allocate: Callable[[tuple[int, ...], Any], np.ndarray],
) -> dict[str, np.ndarray]:
    """Build the arrays of an index.

    Args:
        shards: forward files of the photos, in order.
        total: number of their features.
        size: (width, height) of the photos, int [n, 2], pixels.
        word_count: number of words in the vocabulary, K.
        allocate: function from a shape and a type to an array that is to be filled.

    Returns:
        the forward file (see `bow2cnn.index.forward`) and the inverted file: `word_offset` int64 [K + 1] of the postings `photo` int32 [N],
        `posting_signature` uint64 [N] and `weight` float32 [N] (see `word_weights`), sorted by word, then photo; `idf` float32 [K],
        ln(photos / photos with the word); `norm` float32 [n], see `bow2cnn.index.engine`; and `size` int32 [n, 2].
    """
    forward = {name: allocate((total, *np.dtype(kind).shape), np.dtype(kind).base) for name, kind in COLUMNS.items()}
    forward["offset"], frequency, occurrences = _gather(shards, forward, word_count)
    photos = len(forward["offset"]) - 1
    idf = np.log(max(photos, 1) / np.maximum(frequency, 1)).astype(np.float32)
    word_offset = artefact.offsets(occurrences)
    postings = {name: allocate((total,), dtype) for name, dtype in _POSTINGS.items()}
    norm = np.empty(photos)
    cursor = word_offset[:-1].copy()
    for first, last in _blocks(forward["offset"]):
        rows = slice(forward["offset"][first], forward["offset"][last])
        word, photo = np.asarray(forward["word"][rows]), np.repeat(np.arange(last - first), np.diff(forward["offset"][first : last + 1]))
        weight = word_weights(word, idf, photo)
        norm[first:last] = np.sqrt(np.bincount(photo, weight.astype(np.float64) ** 2, minlength=last - first))
        order = np.argsort(word, kind="stable")  # photos stay in order within a word
        place = _places(word[order], cursor)
        postings["photo"][place] = first + photo[order]
        postings["posting_signature"][place] = forward["signature"][rows][order]
        postings["weight"][place] = weight[order]
    norm = np.maximum(norm, 1e-6).astype(np.float32)
    return {"word_offset": word_offset, **postings, "idf": idf, "norm": norm, **forward, "size": np.asarray(size, np.int32)}


def _gather(shards, forward, word_count):
    """Fill the arrays of `forward`.

    Returns:
        the offsets of the photos, int64 [n + 1]; and for every word the number of photos that have it and the number of its features,
        int64 [K] each.
    """
    frequency, occurrences, lengths, filled = np.zeros(word_count, np.int64), np.zeros(word_count, np.int64), [], 0
    for shard in shards:
        rows = slice(filled, filled + len(shard["word"]))
        for name in COLUMNS:
            forward[name][rows] = shard[name]
        lengths.append(np.diff(shard["offset"]))
        photo = np.repeat(np.arange(len(lengths[-1])), lengths[-1])
        frequency += np.bincount(shard["word"][first_of_word(shard["word"], photo)], minlength=word_count)
        occurrences += np.bincount(shard["word"], minlength=word_count)
        filled = rows.stop
    return artefact.offsets(np.concatenate([np.zeros(0, np.int64), *lengths])), frequency, occurrences


def _blocks(offset):
    """Yield (first, last) of every block of photos; the last one does not belong to it."""
    first = 0
    while first < len(offset) - 1:
        last = max(int(np.searchsorted(offset, offset[first] + _BLOCK, side="right")) - 1, first + 1)
        yield first, last
        first = last


def _places(word, cursor):
    """Places of the postings of sorted words, int64 [N]. `cursor`, the next free place of every word, int64 [K], is advanced."""
    words, firsts, counts = np.unique(word, return_index=True, return_counts=True)
    place = np.repeat(cursor[words] - firsts, counts) + np.arange(len(word))
    cursor[words] += counts
    return place


def allocate_on_disk(folder: str | Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Make an array in a file without a name. The system can move it out of memory, and a killed job leaves no file.

    Args:
        folder: where the file is; it is made if necessary.
        shape, dtype: of the array, whose values are undefined.

    Raises:
        WriteError: the disk is full or not writable.
    """
    length = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if not length:
        return np.empty(shape, dtype)
    with write_errors(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, length)  # a process is killed when the disk has no room for a page of its map
            return np.memmap(file, dtype, "r+", shape=shape)
