"""A benchmark's photos as a collection of their own, so that features and descriptors are made as for any other."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn import artefact
from bow2cnn.collection.reasons import tell_rejected
from bow2cnn.collection.scan import judge_file, read_row, to_arrays, walk
from bow2cnn.evaluation.ground_truth import GroundTruthError, check_regions, read_ground_truth


class BenchmarkRows(NamedTuple):
    """Rows of a benchmark's collection: `named`, file name to row, of the photos that the ground truth names; `distractors` int64."""

    named: dict
    distractors: np.ndarray

    def database(self, truth):
        """Rows of the database, int64 [n]: those of the ground truth in its order, then the distractors."""
        return np.concatenate([np.array([self.named[name] for name in truth.imlist], np.int64), self.distractors])

    def queries(self, truth):
        """Rows of the queries, int64 [q]."""
        return np.array([self.named[name] for name in truth.qimlist], np.int64)


def read_benchmark(photos, gnd, out, distractors, min_side, max_pixels, follow_links=False):
    """Write the collection of a benchmark: the sorted set of the database's and the queries' file names, then the distractors.

    Distractors that cannot be used are rejected with a reason, like those with the bytes of a photo before them.

    Args:
        photos, gnd: folder and ground truth.
        out: the artefact.
        distractors: folders, searched recursively, with photos that show nothing of what is asked for.
        min_side, max_pixels: see `read_header`.
        follow_links: see `scan`.

    Raises:
        GroundTruthError: the ground truth is wrong or damaged, leaves its folder, names a photo that cannot be used, or a region that
            is not in its photo.
    """
    truth, rows = read_ground_truth(gnd, photos), []
    read = partial(read_row, min_side=min_side, max_pixels=max_pixels)
    for name in sorted({*truth.imlist, *truth.qimlist}):
        path = Path(photos) / name
        row = read(path)
        if "reason" in row:
            raise GroundTruthError(f"{gnd}: names {name}, which is {row['reason']}")
        rows.append({**row, "path": path, "name": name, "shard": 0})
    check_regions(truth, {row["name"]: (row["width"], row["height"]) for row in rows}, gnd)
    named, seen, rejected = len(rows), {row["sha256"]: row["path"] for row in rows}, []
    files = {path: reason for folder in distractors for path, reason in walk(folder, follow_links)}
    for path, reason in sorted(files.items()):
        row = judge_file(path, reason, read, seen)
        if "reason" in row:
            rejected.append((path, row["reason"]))
        else:
            rows.append({**row, "path": path, "name": path, "shard": 0})
    tell_rejected([reason for _, reason in rejected], len(files), "distractors")
    artefact.write(out, "collection", to_arrays(rows, rejected), {"photos": str(photos), "gnd": str(gnd), "named": named})


def read_benchmark_rows(collection):
    """The `BenchmarkRows` of what `read_benchmark` wrote."""
    with artefact.Reader(collection, "collection") as reader:
        names = reader["name"]
        named = reader.params.get("named", len(names))
    return BenchmarkRows({name: row for row, name in enumerate(names[:named])}, np.arange(named, len(names)))
