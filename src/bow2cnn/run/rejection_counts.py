"""What a run left out, by reason, in lines: files that cannot be used, photos without features, photos of the user's models, pairs."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.printable import printable
from bow2cnn.features.poor import describe_poor_photos
from bow2cnn.photos.reasons import list_kinds
from bow2cnn.run.run import PLACES, Run


def left_out(run: Run) -> list[str]:
    """All lines of a run, as far as its stages have been run. An artefact that cannot be read adds none."""
    lines: list[str] = []
    collection: Callable[[], list[str]] = partial(_of_artefact, run, "photos", "collection")
    for part in chain([collection], _after_collection(run)):
        with contextlib.suppress(artefact.ArtefactError):
            lines += part()
    return lines


def left_out_after_collection(run: Run) -> list[str]:
    """The same without the files that are not in the collection.

    Raises:
        ArtefactError: an artefact cannot be read.
    """
    return [line for part in _after_collection(run) for line in part()]


def _after_collection(run: Run) -> Iterator[Callable[[], list[str]]]:
    """Functions that return the lines of one artefact each."""
    if "features" in run:
        yield partial(_of_features, run)
    for name in run.benchmarks:
        yield partial(_of_artefact, run, f"benchmark {name}", "benchmark_photos", name)
    if "models" in run:
        yield partial(_of_artefact, run, "models", "models")
    for source in run.sources:
        yield partial(_of_artefact, run, f"pairs of {source}" if len(run.sources) > 1 else "pairs", "positives", source)


def _of_artefact(run, what, name, of=None):
    arrays = run.arrays(name, of)
    found = [f"{count} {reason}" for count, reason in arrays.params.get("left_out", [])]
    reasons = arrays["rejected/reason"] if PLACES[name].kind == "collection" and "rejected/reason" in arrays else []
    found += [f"{len(reasons)} of {len(reasons) + arrays.shape('sha256')[0]} files: {list_kinds(reasons)}"] if reasons else []
    return [printable(f"left out of {what}: {line}") for line in found]


def _of_features(run):
    counts, errors = [], []
    for path in run.shards("features"):
        arrays = artefact.read(path, "features", ["offset", "error"])
        counts += np.diff(arrays["offset"]).tolist()
        errors += arrays["error"]
    return [printable(f"left out of features: {line}") for line in describe_poor_photos(counts, errors)]
