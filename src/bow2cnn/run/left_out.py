"""What a run left out of what it was given, by reason, in lines: files that are no photos or show nothing, photos of models, pairs."""

from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.printable import printable
from bow2cnn.core.same_photos import shards_of
from bow2cnn.features.poor import describe_poor_photos
from bow2cnn.pairs.sources import folders_of_pairs
from bow2cnn.photos.reasons import list_kinds


def left_out(results) -> list[str]:
    """The lines of a run's folder, as far as its stages have been run; a file that cannot be read says nothing here."""
    results = Path(results)
    benchmarks = {f"benchmark {path.parent.name}": path for path in sorted(results.glob("benchmarks/*/collection.h5"))}
    found = folders_of_pairs(results)
    pairs = {f"pairs of {source}" if len(found) > 1 else "pairs": folder / "positives.h5" for source, folder in found.items()}
    lines = []
    for what, path in {
        "photos": results / "collection/collection.h5",
        **benchmarks,
        "models": results / "reconstruction/models.h5",
        **pairs,
    }.items():
        try:
            lines += lines_of(what, path)
            lines += lines_of_features([own for own in shards_of(results, "features") if own.exists()]) if what == "photos" else []
        except artefact.ArtefactError:
            continue
    return lines


def lines_of(what, path) -> list[str]:
    """The lines of one artefact, printable, each beginning with what it is.

    Raises:
        ArtefactError: it cannot be read.
    """
    with artefact.Reader(path) as reader:
        found = [f"{count} {reason}" for count, reason in reader.params.get("left_out", [])]
        reasons = reader["rejected/reason"] if reader.kind == "collection" and "rejected/reason" in reader else []
        found += [f"{len(reasons)} of {len(reasons) + reader.shape('sha256')[0]} files: {list_kinds(reasons)}"] if reasons else []
        return [printable(f"left out of {what}: {line}") for line in found]


def lines_of_features(paths) -> list[str]:
    """The lines of the shards' features, in the same form.

    Raises:
        ArtefactError: one cannot be read.
    """
    counts, errors = [], []
    for path in paths:
        arrays = artefact.read(path, "features", ["offset", "error"])
        counts += np.diff(arrays["offset"]).tolist()
        errors += arrays["error"]
    return [printable(f"left out of features: {line}") for line in describe_poor_photos(counts, errors)]
