"""The one module that touches HDF5: artefacts are written whole or not at all, and checked when they are opened.

An artefact is one HDF5 file with a kind (such as `features`), the version of that kind's layout, the parameters that made it, and flat
arrays. Ragged data (features of photos, photos of clusters) is concatenated beside an `offset` array, int64 [n + 1]: row i is
`[offset[i]:offset[i + 1]]`. Nothing in a file depends on the clock or the machine: the same input gives the same bytes. Every array
has checksums, one per block of rows, that are compared when rows are read: HDF5 protects its own structures, but not the data.

HDF5 crashes where it cannot write, so it never writes to the disk: it lays the file out in memory (`_MemoryFile`), without the contents of
the arrays. `h5py.File.in_memory` does not serve here, because it holds the arrays, and its image is another copy of them (458 MB for an
array of 240 MB).
"""

import contextlib
import json
import mmap
import os
import re
import signal
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bow2cnn.core import atomic_files as files
from bow2cnn.core.printable import first_line

# The layout version of every kind. Raise it when a reader of the old layout would misread the new one.
VERSIONS = {
    "scan_memory": 2,
    "collection": 1,
    "features": 2,
    "vocabulary": 2,
    "words": 1,
    "watermarks": 1,
    "index": 1,
    "verification": 2,
    "collisions": 1,
    "seeds": 1,
    "graph": 5,
    "clusters": 4,
    "models": 1,
    "split": 2,
    "positives": 1,
    "negatives": 1,
    "truth": 1,
    "network": 3,
    "history": 3,
    "whitening": 2,
    "descriptors": 1,
    "ranking": 2,
}


_CHECKSUMS = "checksum"  # the group of the checksums, beside the arrays
_BLOCK = 1 << 20  # bytes that share a checksum; a reader of few rows reads whole blocks
_ALIGNED = 64  # bytes: the alignment of arrays, which speeds up reading them, also when they are mapped
_ROOM = 1 << 16  # bytes reserved for HDF5's own structures, per array


class ArtefactError(Exception):
    """An artefact that cannot be used; the message names the file and the cause in one line."""


def write(path: str | Path, kind: str, arrays: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> None:
    """Write an artefact atomically: a temporary file in the same folder, then a rename.

    Args:
        path: the file; parent folders are made.
        kind: a key of `VERSIONS`.
        arrays: name to array-like; `/` in a name makes groups. Lists of str or bytes become strings of one length
            (file names that are not UTF-8 survive by surrogate escapes).
        params: parameters that JSON can hold, kept as an attribute.

    Raises:
        WriteError: the disk is full or not writable.
    """
    files.write_bytes(path, *_serialise(kind, arrays, params))


def write_if_changed(path: str | Path, kind: str, arrays: Mapping[str, Any], params: dict | None = None) -> bool:
    """Like `write`, but a file that already has exactly this content is not touched, and keeps its time. Returns whether it was written.

    Raises:
        WriteError: see `write`.
    """
    return files.write_if_changed(path, *_serialise(kind, arrays, params))


def read(path: str | Path, kind: str, names: list[str] | None = None) -> dict[str, Any]:
    """Read an artefact into memory.

    Args:
        path: the file.
        kind: the kind that is expected.
        names: read only these arrays (default: all).

    Returns:
        Name to array. An array of strings is a list of str.

    Raises:
        ArtefactError: the file is missing, damaged, of another kind or version, or lacks one of the arrays.
        ReadError: the system refuses to read it.
    """
    with Reader(path, kind) as reader:
        return {name: reader[name] for name in (reader.names() if names is None else names)}


class Reader:
    """An open artefact whose arrays are read on demand, whole (`reader["xy"]`) or in part (`reader.part("xy", 10, 20)`).

    Args:
        path: the file.
        kind: the kind that is expected; None for any.

    Attributes:
        path: the file.
        kind: its kind.
        version: version of the kind's layout.
        params: parameters that were written with it.

    Raises:
        ArtefactError: see `read`.
        ReadError: see `read`.
    """

    def __init__(self, path: str | Path, kind: str | None = None) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise ArtefactError(f"{path}: no such file; run the stage that makes it")
        try:
            self._file = h5py.File(self.path, "r")
            self.kind = bytes(self._file.attrs["kind"]).decode()
            self.version = int(self._file.attrs["version"])
            self.params: dict[str, Any] = json.loads(self._file.attrs["params"])
        except _DAMAGE as error:
            problem = files.read_error_of(path, error)
            raise problem or ArtefactError(f"{path}: not an artefact of bow2cnn, or damaged ({_cause(error)})") from error
        if kind is not None and self.kind != kind:
            self._file.close()
            raise ArtefactError(f"{path}: holds {self.kind}, expected {kind}")
        if self.version != VERSIONS.get(self.kind):
            self._file.close()
            raise ArtefactError(
                f"{path}: {self.kind} version {self.version}, this program reads version {VERSIONS.get(self.kind)}; "
                "delete the file and run the stage again"
            )
        self._checked: dict[str, np.ndarray] = {}

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def names(self) -> list[str]:
        """Sorted names of all arrays, those in groups as `group/name`.

        Raises:
            ArtefactError, ReadError: see `read`.
        """
        found = []

        def note(name, item):
            if isinstance(item, h5py.Dataset) and not name.startswith(f"{_CHECKSUMS}/"):
                found.append(name)

        try:
            self._file.visititems(note)
        except _DAMAGE as error:
            raise self._damaged("the list of arrays", error) from error
        return sorted(found)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._dataset(name).shape

    def dtype(self, name: str) -> np.dtype:
        return self._dataset(name).dtype

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def __getitem__(self, name: str) -> Any:
        return self.part(name, None, None)

    def part(self, name: str, start: int | None, stop: int | None) -> Any:
        """Read rows `start` to `stop` of an array and compare their checksums. Strings are returned as str or a list of str.

        Raises:
            ArtefactError: there is no such array, or it is damaged.
            ReadError: the system refuses to read it, or it does not fit into memory.
        """
        dataset = self._dataset(name)
        try:
            if dataset.shape == ():
                start, stop = None, None
            else:
                start, stop, _ = slice(start, stop).indices(len(dataset))
            value = self._read(name, dataset, start, stop)
            if dataset.dtype.kind != "S":
                return value
            return os.fsdecode(value.item()) if dataset.shape == () else [os.fsdecode(item) for item in value.tolist()]
        except _DAMAGE as error:
            raise self._damaged(name, error) from error

    def map(self, name: str) -> np.ndarray:
        """Map a whole array into memory, read-only: its pages take memory only while they are used.

        The checksums are compared once per file, which reads the whole array. A note beside the file says which of its arrays were found
        sound, with the file's size and times.

        Raises:
            ArtefactError, ReadError: see `part`.
        """
        dataset = self._dataset(name)
        offset = dataset.id.get_offset()
        if offset is None:  # nothing is stored of an array without elements
            return self[name]
        whole = self._sound_arrays()
        if name not in whole:
            for start in range(0, len(dataset), _rows_of_block(dataset)):
                self.part(name, start, start + 1)
            note = {"file": self._identity(), "whole": sorted({*whole, name})}
            with contextlib.suppress(files.WriteError):  # in a folder that is not writable the array is checked each time
                files.write_bytes(self._note, json.dumps(note).encode())
        return np.asarray(np.memmap(self.path, dataset.dtype, "r", offset, dataset.shape))

    @property
    def _note(self):
        return self.path.with_name(f".{self.path.name}.checked")

    def _identity(self):
        found = os.stat(self.path)
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]

    def _sound_arrays(self):
        """Names of the arrays that were found sound since the file was last written."""
        try:
            note = json.loads(self._note.read_bytes())
            return note["whole"] if note["file"] == self._identity() else []
        except (OSError, ValueError, KeyError, TypeError):  # no note, or a damaged one
            return []

    def _dataset(self, name):
        if name not in self._file:
            raise ArtefactError(f"{self.path}: has no {name}")
        try:
            return self._file[name]
        except _DAMAGE as error:
            raise self._damaged(name, error) from error

    def _read(self, name, dataset, start, stop):
        """Rows start to stop of a dataset. A block of rows is compared with its checksum when it is first read."""
        if start is None:
            return self._compare(name, 0, dataset[()])
        rows = _rows_of_block(dataset)
        checked = self._checked.setdefault(name, np.zeros(-(-len(dataset) // rows), bool))
        first, last = start // rows, max(-(-stop // rows), start // rows)
        if checked[first:last].all():
            return dataset[start:stop]
        value = dataset[first * rows : last * rows]
        for block in range(first, last):
            self._compare(name, block, value[(block - first) * rows : (block + 1 - first) * rows])
        checked[first:last] = True
        return value[start - first * rows : stop - first * rows]

    def _compare(self, name, block, value):
        if _checksum(value) != self._file[_CHECKSUMS][name][block]:
            raise ValueError("its checksum differs")
        return value

    def _damaged(self, name, error):
        """The exception to raise for an error met while an array is read: damage, or a refusal of the system."""
        if isinstance(error, MemoryError) and name in self._file and self._file[name].nbytes <= os.path.getsize(self.path):
            return files.ReadError(f"{self.path}: {name} does not fit into memory")
        problem = files.read_error_of(self.path, error)
        return problem or ArtefactError(f"{self.path}: {name} is damaged ({_cause(error)}); delete the file and run the stage again")


# Exceptions that h5py raises for a damaged file; which one depends on the damaged byte.
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError, OverflowError)


def offsets(counts: list[int] | np.ndarray) -> np.ndarray:
    """Offsets of n ragged rows with these counts, int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64), dtype=np.int64)]).astype(np.int64)


def describe(path: str | Path) -> list[str]:
    """List the kind, version, parameters and arrays (shape and type) of an artefact, as lines of text.

    Raises:
        ArtefactError, ReadError: see `read`.
    """
    with Reader(path) as reader:
        lines = [f"{path}: {reader.kind}, version {reader.version}, {os.path.getsize(path):,} bytes"]
        lines += [f"  param {key} = {json.dumps(value)}" for key, value in sorted(reader.params.items())]
        for name in reader.names():
            shape = " x ".join(map(str, reader.shape(name))) or "scalar"
            dtype = reader.dtype(name)
            kind = "text" if dtype.kind == "S" else str(dtype)
            lines.append(f"  {name}: {shape} {kind}")
        return lines


def _serialise(kind, arrays, params):
    """The bytes of an artefact's file, as a list of consecutive parts. The arrays are views of the arguments, not copies."""
    stored = {}
    for name, value in arrays.items():
        stored[name] = _as_array(value)
        stored[f"{_CHECKSUMS}/{name}"] = _checksums(stored[name])
    params = np.bytes_(json.dumps(params or {}, sort_keys=True))
    with _defer_signals():
        return _lay_out(kind, stored, params)


@contextlib.contextmanager
def _defer_signals():
    """Handle signals after the block. HDF5 calls `_MemoryFile` and would crash if a signal's handler raised an exception there."""
    if threading.current_thread() is not threading.main_thread():  # handlers run in the main thread only
        yield
        return
    caught = []
    before = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in caught:
            signal.raise_signal(number)


def _lay_out(kind, stored, params):
    """See `_serialise`. HDF5 lays the file out in memory, with room for the arrays but without their contents."""
    room = 2 * params.nbytes + _ROOM * (1 + len(stored)) + sum(array.nbytes for array in stored.values())
    with _MemoryFile(-1, room, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as image:
        with h5py.File(image, "w", libver="latest", alignment_threshold=_ALIGNED, alignment_interval=_ALIGNED) as file:
            file.attrs["kind"] = np.bytes_(kind)
            file.attrs["version"] = VERSIONS[kind]
            file.attrs["params"] = params
            places = {_place(file, name, array): array for name, array in stored.items()}
        places.pop(None, None)  # arrays without elements have no place in the file
        pieces, at = [], 0
        for start in sorted(places):
            pieces += [image[at:start], _bytes_of(places[start])]
            at = start + places[start].nbytes
        return [*pieces, image[at : image.end]]


class _MemoryFile(mmap.mmap):
    """Memory with the methods of a file. It may be larger than the machine's memory: pages that are never written take no memory."""

    end = 0

    def seek(self, place, whence=os.SEEK_SET):
        super().seek(self.end if whence == os.SEEK_END else place)
        return self.tell()

    def write(self, content):
        super().write(content)
        self.end = max(self.end, self.tell())

    def truncate(self, end):
        self.end = end


def _place(file, name, array):
    """Make a dataset without its contents; returns the byte of the file at which they belong."""
    link, how = h5py.h5p.create(h5py.h5p.LINK_CREATE), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    link.set_create_intermediate_group(True)
    how.set_obj_track_times(False)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space, dtype = h5py.h5s.create_simple(array.shape), h5py.h5t.py_create(array.dtype, logical=True)
    return h5py.h5d.create(file.id, name.encode(), dtype, space, how, link).get_offset()


def _as_array(value):
    """A contiguous array of a type that HDF5 stores."""
    if isinstance(value, str):
        value = np.array(os.fsencode(value), np.bytes_)
    elif isinstance(value, (list, tuple)) and all(isinstance(v, (str, bytes)) for v in value):
        # Strings of fixed length: HDF5 keeps others in a heap without checksums, in which a flipped bit can hang it.
        value = np.array([os.fsencode(v) for v in value], np.bytes_)
    value = np.asarray(value, order="C")
    return value.astype("S1") if value.dtype.kind == "S" and not value.dtype.itemsize else value


def _checksums(array):
    """Checksums of an array's blocks, uint32 [blocks]."""
    if not array.ndim:
        return np.array([_checksum(array)], np.uint32)
    rows = _rows_of_block(array)
    return np.array([_checksum(array[start : start + rows]) for start in range(0, len(array), rows)], np.uint32)


def _rows_of_block(array):
    """Rows of an array or dataset that share a checksum."""
    return max(1, _BLOCK // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))))


def _checksum(value):
    """CRC-32 of an array's bytes."""
    return zlib.crc32(_bytes_of(np.ascontiguousarray(value)))


def _bytes_of(array):
    """The bytes of a contiguous array, uint8 [array.nbytes]."""
    return memoryview(array.reshape(-1).view(np.uint8))


def _cause(error):
    """The cause in one line; of HDF5's long messages only the system's own."""
    said = re.search(r"error message = '([^']+)'", str(error))
    return said[1] if said else first_line(error)
