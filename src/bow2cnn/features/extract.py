"""Detection of the local features of a shard of photos in worker processes, one thread per photo."""

import functools
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.isolated import TaskLost, isolated_map
from bow2cnn.core.lineage import digests, find_rows, lineage, load_previous, log_reuse
from bow2cnn.core.memory import keep_memory
from bow2cnn.core.printable import printable
from bow2cnn.core.progress import progress
from bow2cnn.features.detector import Detector
from bow2cnn.features.poor import describe_poor_photos
from bow2cnn.photos.decode import PhotoError

_LOG = logging.getLogger("bow2cnn")
# Time limit per photo: about a hundred times what is needed, because results must not depend on how busy a machine is.
_SECONDS, _SECONDS_PER_MEGAPIXEL = 120.0, 20.0


def extract_features(
    collection: str | Path,
    out: str | Path,
    workers: int,
    max_features: int,
    side: int = 0,
    affine: bool = False,
    upright: bool = False,
    code: str = "",
) -> None:
    """Write the `features` artefact of a `collection` artefact (a shard or a benchmark).

    Photos whose features are in an earlier version of the artefact are not read again.

    Args:
        collection, out: paths.
        workers: number of processes; the result does not depend on it.
        max_features, side, affine, upright: see `Detector`.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: the collection cannot be read.
        WriteError: the disk is full or not writable.
    """
    detector = Detector(max_features, side, affine, upright)
    photos = artefact.read(collection, "collection", ["path", "sha256", "width", "height"])
    made_with = lineage("features", detector._asdict(), code)
    results = _earlier_results(out, made_with, photos["sha256"])
    new = [row for row, result in enumerate(results) if result is None]
    log_reuse("features", len(new), len(results))
    tasks = [(photos["path"][row], int(photos["width"][row]), int(photos["height"][row])) for row in new]
    for row, result in zip(new, _extract(tasks, detector, workers), strict=True):
        results[row] = result
        if result[-1]:
            _LOG.warning("features: %s has none: %s", printable(photos["path"][row]), result[-1])
    keypoints, descriptors, scales, errors = zip(*results, strict=True) if results else ((), (), (), ())
    for line in describe_poor_photos([len(k) for k in keypoints], list(errors)):
        _LOG.warning("features: %s", line)
    arrays = {
        "offset": artefact.offsets([len(k) for k in keypoints]),
        "keypoint": np.concatenate([np.zeros((0, 6), np.float32), *keypoints]),
        "descriptor": np.concatenate([np.zeros((0, 128), np.uint8), *descriptors]),
        "scale": np.array(scales, np.float32).reshape(-1, 2),
        "sha256": photos["sha256"],
        "content": digests(photos["sha256"], map(np.ndarray.tobytes, keypoints), map(np.ndarray.tobytes, descriptors)),
        "error": list(errors),
    }
    artefact.write(out, "features", arrays, {**detector._asdict(), "lineage": made_with})


def _earlier_results(out, made_with, sha256):
    """Per photo (keypoints, descriptors, scale, "") from an earlier version of the artefact; None for a new photo or one with an error."""
    old = load_previous(out, "features", made_with)
    if old is None:
        return [None] * len(sha256)
    offset, error, keypoint, descriptor, scale = (old[name] for name in ("offset", "error", "keypoint", "descriptor", "scale"))
    rows = find_rows(old["sha256"], sha256).tolist()
    results = [None] * len(sha256)
    for photo, row in enumerate(rows):
        if row >= 0 and not error[row]:
            own = slice(offset[row], offset[row + 1])
            results[photo] = keypoint[own], descriptor[own], scale[row], ""
    return results


def _extract(tasks, detector, workers):
    """(keypoints, descriptors, scale, error) of every task, in the order of the tasks."""
    results = dict(progress(extract_isolated(tasks, detector, workers), "features", len(tasks)))
    return [results[number] for number in range(len(tasks))]


def extract_isolated(
    tasks: list[tuple[str, int, int]], detector: Detector, workers: int
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray, str]]]:
    """Detect the features of photos in worker processes. A photo that kills or stalls its process has an error like other broken ones.

    Args:
        tasks: (path, width, height) of each photo, the size of the upright photo in pixels, from its header.
        detector: the settings.
        workers: number of processes.

    Yields:
        (number of the task, (keypoints float32 [N, 6], descriptors uint8 [N, 128], scale float32 [2], error)) in the order in which they
        are finished. `scale` is that of `Detector.detect` (1 without features). `error` says in one line why there are no features; it is
        empty otherwise.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # before the fork: a process forked while OpenCV's threads wait hangs at its first call
    try:
        seconds = [_SECONDS + _SECONDS_PER_MEGAPIXEL * width * height / 1e6 for _, width, height in tasks]
        for number, result in isolated_map(functools.partial(_extract_one, detector), tasks, workers, seconds):
            yield number, _no_features(result) if isinstance(result, TaskLost) else result
    finally:
        cv2.setNumThreads(threads)


def _extract_one(detector, task):
    keep_memory()
    try:
        return (*detector.detect(*task), "")
    except (PhotoError, cv2.error) as error:
        return _no_features(str(error).splitlines()[0])


def _no_features(reason):
    return np.zeros((0, 6), np.float32), np.zeros((0, 128), np.uint8), np.ones(2, np.float32), str(reason)
