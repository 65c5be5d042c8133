"""Make a collection from a benchmark's photos, so that features and descriptors are made in the same way as for the user's photos."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bow2cnn.benchmarks.ground_truth import GroundTruth, GroundTruthError, check_regions, read_ground_truth
from bow2cnn.benchmarks.places import find_places
from bow2cnn.benchmarks.truth import Truth, write_truth
from bow2cnn.core import artefact
from bow2cnn.core.same_photos import photos_of
from bow2cnn.photos.files import judge_file, read_row, to_arrays, walk
from bow2cnn.photos.reasons import warn_rejected


def read_benchmark(
    photos: str | Path,
    gnd: str | Path,
    out: str | Path,
    truth: str | Path,
    distractors: Sequence[str | Path],
    min_side: int,
    max_pixels: int,
    follow_links: bool = False,
) -> None:
    """Write the collection of a benchmark and its truth.

    The rows of the collection are the named photos, sorted by file name, then the distractors. Distractors that cannot be used, and copies
    of photos before them, are rejected with a reason.

    Args:
        photos: folder of the named photos.
        gnd: the ground truth, `gnd.json`.
        out: the artefact of kind `collection`.
        truth: the artefact of kind `truth`.
        distractors: folders, searched recursively, with photos that are wrong for every query.
        min_side, max_pixels: see `read_header`.
        follow_links: see `scan`.

    Raises:
        GroundTruthError: the ground truth is wrong or damaged, names a photo that cannot be used or is outside its folder, or has a region
            that is not inside its photo.
        WriteError: an artefact cannot be written.
    """
    known, rows = read_ground_truth(gnd, photos), []
    read = partial(read_row, min_side=min_side, max_pixels=max_pixels)
    for name in sorted({*known.imlist, *known.qimlist}):
        path = str(Path(photos) / name)
        row = read(path)
        if "reason" in row:
            raise GroundTruthError(f"{gnd}: names {name}, which cannot be used: {row['reason']}")
        rows.append({**row, "path": path, "name": name, "shard": 0})
    check_regions(known, {row["name"]: (row["width"], row["height"]) for row in rows}, gnd)
    named, seen, rejected = len(rows), {row["sha256"]: row["path"] for row in rows}, []
    files = {path: reason for folder in distractors for path, reason in walk(folder, follow_links)}
    for path, reason in sorted(files.items()):
        row = judge_file(path, reason, read, seen)
        if "reason" in row:
            rejected.append((path, row["reason"]))
        else:
            rows.append({**row, "path": path, "name": path, "shard": 0})
    warn_rejected([reason for _, reason in rejected], len(files), "distractors")
    artefact.write(out, "collection", to_arrays(rows, rejected), {"photos": str(photos), "gnd": str(gnd), "named": named})
    row_of = {row["name"]: number for number, row in enumerate(rows[:named])}
    write_truth(truth, truth_in_rows(known, row_of, len(rows)), photos_of(out), {"gnd": str(gnd)})


def truth_in_rows(known: GroundTruth, row_of: dict[str, int], count: int) -> Truth:
    """Convert a ground truth to rows of the benchmark's collection.

    Args:
        known: the content of `gnd.json`.
        row_of: file name to row.
        count: number of rows. Rows without a file name are distractors; they are added at the end of the database.
    """
    distractors = np.setdiff1d(np.arange(count), list(row_of.values()))
    database = np.concatenate([np.array([row_of[name] for name in known.imlist], np.int64), distractors])
    query = np.array([row_of[name] for name in known.qimlist], np.int64)
    protocols = {name: [tuple(database[rows] for rows in both) for both in known.select(name)] for name in known.protocols()}
    if known.place is None:
        place = find_places(query, [database[one.ok] for one in known.queries])
    else:
        place = np.unique(known.place, return_inverse=True)[1]
    region = np.array([one.region or (np.nan,) * 4 for one in known.queries], np.float64)
    return Truth(query, database, protocols, place, region)


def named_rows(collection: str | Path) -> np.ndarray:
    """Rows of a benchmark's photos without the distractors, int64 [n].

    Args:
        collection: path of the benchmark's artefact of kind `collection`.

    Raises:
        ArtefactError, ReadError: see `artefact.read`.
    """
    with artefact.Reader(collection, "collection") as reader:
        return np.arange(reader.params["named"])
