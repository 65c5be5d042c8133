"""Whitening as a linear map: x to L2(P (x - m)).

Learned whitening (Mikolajczyk and Matas, ICCV 2007; Radenovic, Tolias, Chum, TPAMI 2018, section 3.4): whiten the differences of
matching pairs, then rotate to the principal axes of all descriptors in that space, so that the first d axes are the best d.

    C_S = mean of (q - p)(q - p)^T over matching pairs,   P = V^T C_S^(-1/2),   V = eigenvectors of the covariance of C_S^(-1/2) x

With fewer pairs than dimensions C_S is singular, and directions that no pair happens to vary in would be blown up. It is therefore
shrunk towards a multiple of the identity (Ledoit and Wolf, 2004): (1 - s) C_S + s tr(C_S) / D I. At s = 1 the map is a rotation.
Shrinking moves the eigenvalues and keeps the eigenvectors, so one decomposition serves every s.
"""

import numpy as np
from threadpoolctl import threadpool_limits

_EPSILON = 1e-9
_ROWS = 4096  # of descriptors or pairs at a time


def apply(descriptors, mean, projection):
    """L2(projection (x - mean)), float32 [n, d]; rows of zeros (missing photos) stay zero."""
    moved = np.empty((len(descriptors), len(projection)), np.float32)
    for block in blocks(len(descriptors)):
        rows = descriptors[block]
        present = np.abs(rows).sum(1, keepdims=True) > 0
        moved[block] = _unit((rows - mean) @ projection.T * present)
    return moved


def scale(descriptors, gains):
    """L2(gains x), float32 [n, D]; rows of zeros stay zero.

    Args:
        descriptors: float [n, D].
        gains: float [D].
    """
    scaled = np.empty(descriptors.shape, np.float32)
    for block in blocks(len(descriptors)):
        scaled[block] = _unit(descriptors[block] * gains.astype(np.float32))
    return scaled


def blocks(count):
    """Slices that together are so many rows: what is held of them besides, in double precision too, is held of one block."""
    return [slice(start, start + _ROWS) for start in range(0, count, _ROWS)]


def _unit(rows):
    """Rows by their length; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


class Whitenings:
    """The whitenings of one scatter matrix by all shrinkages.

    Args:
        mean, spread: float64 [D], [D, D]: of all descriptors, see `spread_of`.
        scatter: float64 [D, D], C_S above, or the covariance for PCA.

    Attributes:
        mean: float32 [D].
        axes: float64 [D, D], eigenvectors of the scatter in columns.
    """

    def __init__(self, mean, spread, scatter):
        self.mean = mean.astype(np.float32)
        self._values, self.axes = _eigh(scatter)
        self._covariance = self.axes.T @ spread @ self.axes

    def gains(self, shrinkage):
        """What the shrunk M^(-1/2) does along each of the axes, float64 [D]; scaled to a largest gain of 1 so that float32 is enough."""
        values = (1 - shrinkage) * self._values + shrinkage * self._values.mean()
        values = np.maximum(values, _EPSILON * max(values[-1], _EPSILON))
        return np.sqrt(values[0] / values)

    def projection(self, shrinkage, dimensions=0):
        """Projection float32 [d, D]: rows along the principal axes of the whitened descriptors, by falling variance.

        Args:
            shrinkage: s above, 0 to 1.
            dimensions: d, 0 for D.
        """
        gains = self.gains(shrinkage)
        _, turn = _eigh(gains[:, None] * self._covariance * gains)
        turn = turn[:, ::-1][:, : dimensions or None]
        # Signs are fixed so that the result is unique.
        directions = self.axes @ turn
        turn = turn * np.where(directions[np.abs(directions).argmax(0), np.arange(turn.shape[1])] < 0, -1, 1)
        return ((turn * gains[:, None]).T @ self.axes.T).astype(np.float32)


def learned(descriptors, rows, queries, positives):
    """`Whitenings` learned from matching descriptors.

    Args:
        descriptors: float [n, D].
        rows: int [r], those for the mean and the rotation.
        queries, positives: int [m] rows of matching descriptors.
    """
    scatter = np.zeros((descriptors.shape[1],) * 2)
    for block in blocks(len(queries)):
        difference = descriptors[queries[block]].astype(np.float64) - descriptors[positives[block]]
        scatter += difference.T @ difference
    return Whitenings(*spread_of(descriptors, rows), scatter / max(len(queries), 1))


def pca(descriptors, rows):
    """`Whitenings` of the covariance of some rows of descriptors, float [n, D]."""
    mean, spread = spread_of(descriptors, rows)
    return Whitenings(mean, spread, spread / len(rows))


def spread_of(descriptors, rows):
    """Mean float64 [D] of some rows of descriptors and the sum of (x - mean)(x - mean)^T over them, float64 [D, D]."""
    mean = sum(descriptors[rows[block]].sum(0, dtype=np.float64) for block in blocks(len(rows))) / len(rows)
    spread = np.zeros((descriptors.shape[1],) * 2)
    for block in blocks(len(rows)):
        centered = descriptors[rows[block]] - mean
        spread += centered.T @ centered
    return mean, spread


def nothing(size):
    """The map that leaves descriptors of a size as they are."""
    return np.zeros(size, np.float32), np.eye(size, dtype=np.float32)


def _eigh(matrix):
    """Eigenvalues ascending and eigenvectors. One library thread: several wait for each other so often that on a busy machine they
    take 50 times as long as one."""
    with threadpool_limits(1, user_api="blas"):
        return np.linalg.eigh(matrix)
