"""From forward files to an index, piece by piece: what is in memory at once is a piece, a number or two per photo and per word, and as
much of the index as there is room for.
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import write_errors
from bow2cnn.index.engine import first_of_word, word_weights
from bow2cnn.index.forward import COLUMNS

_POSTINGS = {"photo": np.int32, "posting_signature": np.uint64, "weight": np.float32}
_BLOCK = 1 << 22  # features that are sorted at once


def index_arrays(forward, size, word_count):
    """The arrays of an index in memory, of one forward file and the photos' sizes int [n, 2]."""
    return assemble([forward], len(forward["word"]), size, word_count, np.empty)


def assemble(pieces, total, size, word_count, empty):
    """The arrays of an index.

    Postings are sorted by word, then photo; idf = ln(photos / photos with the word).

    Args:
        pieces: forward files, one photo after the other.
        total: number of their features.
        size: int [n, 2], the photos' sizes.
        word_count: of the vocabulary.
        empty: makes an array of a shape and a type to be filled.
    """
    forward = {name: empty((total, *np.dtype(kind).shape), np.dtype(kind).base) for name, kind in COLUMNS.items()}
    forward["offset"], frequency, occurrences = _gather(pieces, forward, word_count)
    photos = len(forward["offset"]) - 1
    idf = np.log(max(photos, 1) / np.maximum(frequency, 1)).astype(np.float32)
    word_offset = artefact.offsets(occurrences)
    postings = {name: empty((total,), dtype) for name, dtype in _POSTINGS.items()}
    norm = np.empty(photos)
    cursor = word_offset[:-1].copy()
    for first, last in _blocks(forward["offset"]):
        rows = slice(forward["offset"][first], forward["offset"][last])
        word, photo = np.asarray(forward["word"][rows]), np.repeat(np.arange(last - first), np.diff(forward["offset"][first : last + 1]))
        weight = word_weights(word, idf, photo)
        norm[first:last] = np.sqrt(np.bincount(photo, weight.astype(np.float64) ** 2, minlength=last - first))
        order = np.argsort(word, kind="stable")  # photos come in their order
        place = _places(word[order], cursor)
        postings["photo"][place] = first + photo[order]
        postings["posting_signature"][place] = forward["signature"][rows][order]
        postings["weight"][place] = weight[order]
    norm = np.maximum(norm, 1e-6).astype(np.float32)
    return {"word_offset": word_offset, **postings, "idf": idf, "norm": norm, **forward, "size": np.asarray(size, np.int32)}


def _gather(pieces, forward, word_count):
    """Fill the forward arrays; the offsets of the photos, and per word in how many photos it occurs and how often, int64 [words]."""
    frequency, occurrences, lengths, filled = np.zeros(word_count, np.int64), np.zeros(word_count, np.int64), [], 0
    for piece in pieces:
        rows = slice(filled, filled + len(piece["word"]))
        for name in COLUMNS:
            forward[name][rows] = piece[name]
        lengths.append(np.diff(piece["offset"]))
        photo = np.repeat(np.arange(len(lengths[-1])), lengths[-1])
        frequency += np.bincount(piece["word"][first_of_word(piece["word"], photo)], minlength=word_count)
        occurrences += np.bincount(piece["word"], minlength=word_count)
        filled = rows.stop
    return artefact.offsets(np.concatenate([np.zeros(0, np.int64), *lengths])), frequency, occurrences


def _blocks(offset):
    """Photos from the first to before the last of every block."""
    first = 0
    while first < len(offset) - 1:
        last = max(int(np.searchsorted(offset, offset[first] + _BLOCK, side="right")) - 1, first + 1)
        yield first, last
        first = last


def _places(word, cursor):
    """Where the postings of sorted words go, int64 [N]; `cursor` int64 [words], the next free place of every word, moves on."""
    words, firsts, counts = np.unique(word, return_index=True, return_counts=True)
    place = np.repeat(cursor[words] - firsts, counts) + np.arange(len(word))
    cursor[words] += counts
    return place


def empty_on_disk(folder, shape, dtype):
    """An array in a file without a name: it leaves memory when that is short, and nothing of it stays behind a killed job.

    Raises:
        WriteError: the disk is full or not writable.
    """
    length = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if not length:
        return np.empty(shape, dtype)
    with write_errors(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, length)  # a map into which the disk cannot take a page kills the process
            return np.memmap(file, dtype, "r+", shape=shape)
