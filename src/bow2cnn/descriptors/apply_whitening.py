"""Apply a whitening to descriptors: x to L2(P (x - m)); `bow2cnn.whitening` learns P and m."""

from collections.abc import Mapping

import numpy as np

_ROWS = 4096  # of descriptors or pairs at a time


def whitened(queries: np.ndarray, database: np.ndarray, learned: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The step after the descriptor, see `bow2cnn.descriptors.apply_steps`.

    Args:
        queries: float32 [q, D].
        database: float32 [n, D].
        learned: arrays of the artefact `whitening`: `mean` float32 [D], `projection` float32 [d, D].

    Returns:
        queries float32 [q, d] and database float32 [n, d].
    """
    mean, projection = learned["mean"], learned["projection"]
    return apply(queries, mean, projection), apply(database, mean, projection)


def apply(descriptors: np.ndarray, mean: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """L2(projection (x - mean)), float32 [n, d]; rows of zeros (missing photos) stay zero.

    Args:
        descriptors: float32 [n, D].
        mean: float32 [D].
        projection: float [d, D].
    """
    moved = np.empty((len(descriptors), len(projection)), np.float32)
    for block in blocks(len(descriptors)):
        rows = descriptors[block]
        present = np.abs(rows).sum(1, keepdims=True) > 0
        moved[block] = unit((rows - mean) @ projection.T * present)
    return moved


def scale(descriptors: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """L2(gains x), float32 [n, D]; rows of zeros stay zero.

    Args:
        descriptors: float [n, D].
        gains: float [D].
    """
    scaled = np.empty(descriptors.shape, np.float32)
    for block in blocks(len(descriptors)):
        scaled[block] = unit(descriptors[block] * gains.astype(np.float32))
    return scaled


def blocks(count: int) -> list[slice]:
    """Slices that together cover `count` rows, so that copies of rows (in double precision) are in memory for one block at a time."""
    return [slice(start, start + _ROWS) for start in range(0, count, _ROWS)]


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows, float [n, D], divided by their lengths; rows of zeros stay zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def identity(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean float32 [D] and projection float32 [D, D] of the map that leaves descriptors as they are.

    Args:
        size: D.
    """
    return np.zeros(size, np.float32), np.eye(size, dtype=np.float32)
