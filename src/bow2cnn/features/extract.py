"""Local features of a shard of photos, in worker processes, each photo on one thread."""

import functools
import logging

import cv2
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.isolated import TaskLost, isolated_map, keep_memory
from bow2cnn.core.lineage import digests, find_rows, lineage, load_previous, log_reuse
from bow2cnn.core.printable import printable
from bow2cnn.core.progress import progress
from bow2cnn.features.detector import Detector
from bow2cnn.features.poor import tell_poor
from bow2cnn.photos.decode import PhotoError

_LOG = logging.getLogger("bow2cnn")
# So long a photo may take: a hundred times what one of its size does take, since results must not depend on how busy a machine is.
_SECONDS, _SECONDS_PER_MEGAPIXEL = 120.0, 20.0


def extract_features(collection, out, workers, max_features, side=0, affine=False, upright=False, code=""):
    """Write the `features` artefact of a `collection` artefact (a shard or a benchmark).

    Photos whose features an earlier version of the artefact holds are not read again.

    Args:
        collection, out: paths.
        workers: processes; the result does not depend on them.
        max_features, side, affine, upright: see `Detector`.
        code: digest of the code, part of the lineage.
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
            _LOG.warning("features: %s gives none: %s", printable(photos["path"][row]), result[-1])
    keypoints, descriptors, scales, errors = zip(*results, strict=True) if results else ((), (), (), ())
    for line in tell_poor([len(k) for k in keypoints], list(errors)):
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
    """Per photo (keypoints, descriptors, scale, "") of an earlier version of the artefact; None where it has none, or had an error."""
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
    """(keypoints, descriptors, scale, error) of every task, in their order."""
    results = dict(progress(extract_isolated(tasks, detector, workers), "features", len(tasks)))
    return [results[number] for number in range(len(tasks))]


def extract_isolated(tasks, detector, workers):
    """Features of photos, in worker processes: a photo that kills or stalls its process is an error like others.

    Args:
        tasks: list of (path, width, height), the photo's size being that of its header, upright.
        detector: `Detector`.
        workers: processes.

    Yields:
        (number of the task, (keypoint float32 [N, 6], descriptor uint8 [N, 128], scale float32 [2], error)) as they come; `scale` as of
        `Detector.detect` (1 where there are no features), an error is a line that says why there are none, empty where there is none.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # before the fork: a process forked while OpenCV's threads wait hangs at its first call
    try:
        seconds = [_SECONDS + _SECONDS_PER_MEGAPIXEL * width * height / 1e6 for _, width, height in tasks]
        for number, result in isolated_map(functools.partial(_extract_one, detector), tasks, workers, seconds):
            yield number, _nothing(result) if isinstance(result, TaskLost) else result
    finally:
        cv2.setNumThreads(threads)


def _extract_one(detector, task):
    keep_memory()
    try:
        return (*detector.detect(*task), "")
    except (PhotoError, cv2.error) as error:
        return _nothing(str(error).splitlines()[0])


def _nothing(reason):
    return np.zeros((0, 6), np.float32), np.zeros((0, 128), np.uint8), np.ones(2, np.float32), str(reason)
