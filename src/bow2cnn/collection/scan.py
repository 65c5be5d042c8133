"""The scan: lists the photos in the folders, and the rejected files with the reasons."""

import itertools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.benchmarks.ground_truth import GroundTruthError, read_ground_truth
from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import write_if_changed
from bow2cnn.core.code_digest import digest
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.lineage import lineage
from bow2cnn.core.progress import progress
from bow2cnn.photos.files import judge_file, read_row, to_arrays, walk
from bow2cnn.photos.reasons import list_kinds, warn_rejected

_LOG = logging.getLogger("bow2cnn")
# Beginnings of reasons that may disappear although the file stays the same; they are not remembered.
_TEMPORARY = ("not readable", "vanished", "outside the folders")


def scan(
    photos: Sequence[str | Path],
    folder: str | Path,
    shards: int,
    min_side: int,
    max_pixels: int,
    benchmarks: Mapping[str, Mapping[str, Any]] | None = None,
    follow_links: bool = False,
) -> None:
    """List the photos below folders.

    Three kinds of files are written, each only if it changed: `collection.h5`; `shard-NNN.h5`, the photos of one shard;
    `benchmark-NAME.json`, which maps the photos of a benchmark to their sha256, or to the reason why they cannot be used.

    A photo's shard depends on its sha256 alone, so new photos do not move others to another shard. Files that have not changed since the
    last scan (same path, size and times) are not read again.

    Hidden files and folders (thumbnails, recycle bins) are ignored. Every other file is either listed or rejected with a reason.

    Args:
        photos: folders, searched recursively.
        folder: the folder of the lists.
        shards: number of shards.
        min_side, max_pixels: see `read_header`.
        benchmarks: name to `photos`, `gnd` and `distractors`: the folder, the ground truth, and folders of more photos.
        follow_links: whether symbolic links are followed. If not, they are rejected, because they may lead out of the folders.

    Raises:
        EmptyStageError: there is no usable photo. The lists are written nevertheless.
        WriteError: a list cannot be written.
    """
    folder = Path(folder)
    known = _Memory(folder / "scan-memory.h5", (min_side, max_pixels))
    rows, rejected = [], []
    seen: dict[str, str] = {}
    files = [(root, path) for root in photos for path in walk(root, follow_links)]
    for root, (path, reason) in progress(files, "scan"):
        row = judge_file(path, reason, known.row, seen)
        if "reason" in row:
            rejected.append((path, row["reason"]))
        else:
            shard = int(row["sha256"][:15], 16) % shards
            rows.append({**row, "path": path, "name": os.path.relpath(path, root), "shard": shard})
    for name, benchmark in (benchmarks or {}).items():
        listed = _list_benchmark(known, follow_links, **benchmark)
        write_if_changed(folder / f"benchmark-{name}.json", json.dumps(listed, indent=0).encode())
    known.save()
    rows.sort(key=lambda row: (row["shard"], row["sha256"]))
    params = {"photos": [str(root) for root in photos], "shards": shards, "min_side": min_side, "max_pixels": max_pixels}
    params["follow_links"] = follow_links
    artefact.write_if_changed(folder / "collection.h5", "collection", to_arrays(rows, rejected), params)
    bounds = np.searchsorted([row["shard"] for row in rows], np.arange(shards + 1))
    for shard, (start, stop) in enumerate(itertools.pairwise(bounds)):
        artefact.write_if_changed(folder / f"shard-{shard:03d}.h5", "collection", to_arrays(rows[start:stop], []))
    warn_rejected([why for _, why in rejected], len(files), "files")
    if not rows:
        raise EmptyStageError(_why_empty(photos, folder, rejected))


def _list_benchmark(known, follow_links, photos, gnd, distractors):
    """Name to sha256, or to the reason, of a benchmark's photos. Empty if the ground truth is wrong; `read_benchmark` reports that."""
    try:
        truth = read_ground_truth(gnd)
    except GroundTruthError:
        return {}
    rows = {name: known.row(os.path.join(photos, name)) for name in sorted({*truth.imlist, *truth.qimlist})}
    others = {path for folder in distractors for path, reason in walk(folder, follow_links) if not reason}
    rows |= {f"distractor {path}": known.row(path) for path in sorted(others)}
    return {name: row.get("reason") or row["sha256"] for name, row in rows.items()}


def _why_empty(photos, folder, rejected):
    """The message for a collection without photos."""
    where = ", ".join(map(str, photos))
    if not rejected:
        return f"collection: there is no file in {where}; put photos there, or name another folder in `photos`"
    reasons = list_kinds([reason for _, reason in rejected])
    return (
        f"collection: none of the {len(rejected)} files in {where} is a usable photo: {reasons}; "
        f"`python -m bow2cnn show {folder / 'collection.h5'}` lists them"
    )


class _Memory:
    """The results of the last scan, by which the same code does not read a file of the same path, size and times again.

    The times include that of the last change of the file's inode, because a file that replaces another may have the same size and
    modification time.

    The file is stored beside the lists and is not an input of any stage, because times are not content.
    """

    FIELDS = ("sha256", "width", "height", "orientation", "focal", "gps")
    KEYS = ("size", "mtime", "ctime")

    def __init__(self, path, limits):
        self._path, self._limits = path, limits
        self._made_with = lineage("scan", *limits, digest(__file__))
        self._old, self._new = {}, {}
        if not path.exists():
            return
        try:
            saved = artefact.read(path, "scan_memory")
        except artefact.ArtefactError as error:
            _LOG.warning("scan: all files are read again: %s", error)
            return
        if saved.get("made_with") != [self._made_with]:
            return
        for i, name in enumerate(saved["path"]):
            row = {"reason": saved["reason"][i]} if saved["reason"][i] else self._unpack(saved, i)
            self._old[name, *(int(saved[key][i]) for key in self.KEYS)] = row

    @staticmethod
    def _unpack(saved, i):
        row = {name: int(saved[name][i]) for name in ("width", "height", "orientation")} | {"focal": float(saved["focal"][i])}
        return {**row, "gps": tuple(saved["gps"][i]), "sha256": bytes(saved["sha256"][i]).hex()}

    def row(self, path):
        try:
            stat = os.stat(path)  # a benchmark may have links
        except OSError as error:
            return {"reason": f"not readable ({error.strerror})"}
        key = (path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        row = self._old.get(key) or read_row(path, *self._limits)
        if not row.get("reason", "").startswith(_TEMPORARY):
            self._new[key] = row
        return row

    def save(self):
        blank = {
            "width": 0,
            "height": 0,
            "orientation": 1,
            "focal": 0.0,
            "gps": (0.0, 0.0),
            "sha256": "00" * 32,
            "path": "",
            "name": "",
            "shard": 0,
        }
        arrays = to_arrays([{**blank, **row} for row in self._new.values()], [])
        keys = list(self._new)
        arrays = {name: arrays[name] for name in self.FIELDS}
        arrays["path"] = [path for path, *_ in keys]
        arrays |= {name: np.array([key[i] for key in keys], np.int64) for i, name in enumerate(self.KEYS, start=1)}
        arrays["reason"] = [row.get("reason", "") for row in self._new.values()]
        arrays["made_with"] = [self._made_with]
        artefact.write(self._path, "scan_memory", arrays)
