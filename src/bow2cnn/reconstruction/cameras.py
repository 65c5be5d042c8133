"""Where the cameras of a 3D model stand."""

import numpy as np


def camera_centers(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Places of cameras in the model, float64 [n, 3]: C = -R^T t.

    Args:
        rotation: R, float [n, 3, 3], x_cam = R X + t.
        translation: t, float [n, 3].
    """
    return -np.einsum("nji,nj->ni", rotation, translation)
