"""A benchmark's photos as a collection of their own, so that features and descriptors are made as for any other."""

from pathlib import Path

from bow2cnn import artefact
from bow2cnn.collection.scan import read_row, to_arrays
from bow2cnn.evaluation.ground_truth import read_ground_truth


def read_benchmark(photos, gnd, out, min_side, max_pixels):
    """Write the collection of a benchmark: rows are the sorted set of the database's and the queries' file names.

    Raises:
        GroundTruthError: the ground truth is damaged, leaves its folder or names a photo that cannot be used.
    """
    truth = read_ground_truth(gnd, photos)
    rows = []
    for name in sorted({*truth.imlist, *truth.qimlist}):
        path = Path(photos) / name
        row = read_row(path, min_side, max_pixels)
        if "reason" in row:
            raise artefact.ArtefactError(f"{gnd}: names {name}, which is {row['reason']}")
        rows.append({**row, "path": path, "name": name, "shard": 0})
    artefact.write(out, "collection", to_arrays(rows, []), {"photos": str(photos), "gnd": str(gnd)})
