"""Fundamental matrices in other pixels."""

import numpy as np


def scale_fundamental(fundamental: np.ndarray, scale_a: np.ndarray, scale_b: np.ndarray) -> np.ndarray:
    """The fundamental matrix of two photos whose pixel coordinates are multiplied by factors.

    Args:
        fundamental: float64 [3, 3], x_b^T F x_a = 0.
        scale_a, scale_b: the factors along x and y, float [2], or one for both.

    Returns:
        float64 [3, 3].
    """
    a, b = (np.append(np.broadcast_to(scale, 2), 1.0) for scale in (scale_a, scale_b))
    return fundamental / b[:, None] / a
