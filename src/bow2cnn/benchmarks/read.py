"""A benchmark's photos as a collection of their own, so that features and descriptors are made as for any other."""

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


def read_benchmark(photos, gnd, out, truth, distractors, min_side, max_pixels, follow_links=False):
    """Write the collection of a benchmark and its truth, in rows of this collection.

    The rows are the sorted set of the database's and the queries' file names, then the distractors.

    Distractors that cannot be used are rejected with a reason, like those with the bytes of a photo before them.

    Args:
        photos, gnd: folder and ground truth.
        out, truth: the artefacts, of kinds `collection` and `truth`.
        distractors: folders, searched recursively, with photos that show nothing of what is asked for.
        min_side, max_pixels: see `read_header`.
        follow_links: see `scan`.

    Raises:
        GroundTruthError: the ground truth is wrong or damaged, leaves its folder, names a photo that cannot be used, or a region that
            is not in its photo.
    """
    known, rows = read_ground_truth(gnd, photos), []
    read = partial(read_row, min_side=min_side, max_pixels=max_pixels)
    for name in sorted({*known.imlist, *known.qimlist}):
        path = Path(photos) / name
        row = read(path)
        if "reason" in row:
            raise GroundTruthError(f"{gnd}: names {name}, which is {row['reason']}")
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


def truth_in_rows(known: GroundTruth, row_of: dict, count: int) -> Truth:
    """The truth of a benchmark in rows of its collection.

    Args:
        known: what `gnd.json` says.
        row_of: file name to row.
        count: rows; those that no file name has are distractors, at the end of the database.
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


def named_rows(collection) -> np.ndarray:
    """Rows of the photos of a benchmark that its ground truth names, int64: all but the distractors."""
    with artefact.Reader(collection, "collection") as reader:
        return np.arange(reader.params["named"])
