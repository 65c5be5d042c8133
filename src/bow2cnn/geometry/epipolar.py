"""Fundamental matrices of resized photos."""

import numpy as np
from numpy.typing import NDArray


def scale_fundamental(fundamental: np.ndarray, scale_a: float | np.ndarray, scale_b: float | np.ndarray) -> NDArray[np.float64]:
    """The fundamental matrix of two photos after their pixel coordinates are multiplied by factors.

    Args:
        fundamental: float64 [3, 3], x_b^T F x_a = 0 before.
        scale_a, scale_b: factors of each photo, float [2] for x and y or one number for both.

    Returns:
        float64 [3, 3].
    """
    a, b = (np.append(np.broadcast_to(scale, 2), 1.0) for scale in (scale_a, scale_b))
    return fundamental / b[:, None] / a
