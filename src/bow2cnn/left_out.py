"""What a run left out of what it was given, by reason, in lines: files that are no photos, photos of models and pairs of a database."""

from pathlib import Path

from bow2cnn import artefact
from bow2cnn.collection.reasons import list_kinds
from bow2cnn.pairs.sources import folders_of_pairs
from bow2cnn.text import printable


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
        "models": results / "models/models.h5",
        **pairs,
    }.items():
        try:
            lines += lines_of(what, path)
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
        found += [f"{len(reasons)} files: {list_kinds(reasons)}"] if reasons else []
        return [printable(f"left out of {what}: {line}") for line in found]
