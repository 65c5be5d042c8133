"""The binary signature of a feature, by which features of one word are compared (Jegou, Douze, Schmid, Hamming embedding, ECCV 2008)."""

import numpy as np
from numpy.typing import NDArray

SIGNATURE_BITS = 64


def signatures(descriptors: np.ndarray, projection: np.ndarray, thresholds: np.ndarray) -> NDArray[np.uint64]:
    """Compute the binary signatures of descriptors, uint64 [n]. Bit b says whether projected component b exceeds its threshold.

    Args:
        descriptors: uint8 [n, 128].
        projection: float32 [64, 128], with orthogonal rows.
        thresholds: float [n, 64], the medians of the projected components in the word of each descriptor.
    """
    bits = (np.asarray(descriptors, np.float32) @ projection.T) > thresholds
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64).ravel()
