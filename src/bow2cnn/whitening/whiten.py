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


def apply(descriptors, mean, projection):
    """L2(projection (x - mean)), float32 [n, d]; rows of zeros (missing photos) stay zero."""
    present = np.abs(descriptors).sum(1, keepdims=True) > 0
    return unit((descriptors - mean) @ projection.T * present)


def unit(rows):
    """Rows by their length, float32; rows of zeros stay."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)


class Whitenings:
    """The whitenings of one scatter matrix by all shrinkages.

    Args:
        descriptors: float [n, D] for the mean and the rotation.
        scatter: float64 [D, D], C_S above, or the covariance for PCA.

    Attributes:
        mean: float32 [D].
        axes: float64 [D, D], eigenvectors of the scatter in columns.
    """

    def __init__(self, descriptors, scatter):
        x = np.asarray(descriptors, np.float64)
        mean = x.mean(0)
        self.mean = mean.astype(np.float32)
        self._values, self.axes = _eigh(scatter)
        centered = x - mean
        self._covariance = self.axes.T @ (centered.T @ centered) @ self.axes

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


def learned(descriptors, queries, positives):
    """`Whitenings` learned from matching descriptors.

    Args:
        descriptors: float [n, D] for the mean and the rotation.
        queries, positives: float [m, D] matching descriptors, row by row.
    """
    difference = np.asarray(queries, np.float64) - np.asarray(positives, np.float64)
    return Whitenings(descriptors, difference.T @ difference / max(len(difference), 1))


def pca(descriptors):
    """`Whitenings` of the covariance of descriptors, float [n, D]."""
    return Whitenings(descriptors, np.cov(np.asarray(descriptors, np.float64).T, bias=True))


def nothing(size):
    """The map that leaves descriptors of a size as they are."""
    return np.zeros(size, np.float32), np.eye(size, dtype=np.float32)


def _eigh(matrix):
    """Eigenvalues ascending and eigenvectors. One library thread: several wait for each other so often that on a busy machine they
    take 50 times as long as one."""
    with threadpool_limits(1, user_api="blas"):
        return np.linalg.eigh(matrix)
