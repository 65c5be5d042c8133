"""Points of a photo that lie near others."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_MARGIN = 1 + 1e-6  # of the reach; single precision rounds distances by less than this


def within_reach(points: NDArray[np.float32], targets: NDArray[np.float32], reach: float) -> NDArray[np.bool_]:
    """Whether each point is nearer than `reach` to one of the targets.

    Args:
        points, targets: float32 [n, 2] and [k, 2], pixels.
        reach: pixels.

    Returns:
        bool [n].
    """
    near = np.zeros(len(points), bool)
    # The tree computes in double precision. Distances are compared in that of the points, so that results are those of a direct comparison.
    pairs = cKDTree(points).sparse_distance_matrix(cKDTree(targets), reach * _MARGIN, output_type="ndarray")
    point, target = pairs["i"], pairs["j"]
    near[point[np.square(points[point] - targets[target]).sum(1) < reach * reach]] = True
    return near
