"""Whitening as a linear map: x to L2(P (x - m)).

Learned whitening (Mikolajczyk and Matas, ICCV 2007; Radenovic, Tolias, Chum, TPAMI 2018, section 3.4): whiten the differences of
matching pairs, then rotate to the principal axes of all descriptors in that space, so that the first d axes are the best d.

    C_S = mean of (q - p)(q - p)^T over matching pairs,   P = V^T C_S^(-1/2),   V = eigenvectors of the covariance of C_S^(-1/2) x

With fewer pairs than dimensions C_S is singular, and directions that no pair happens to vary in would be blown up. It is therefore
shrunk towards a multiple of the identity (Ledoit and Wolf, 2004): (1 - s) C_S + s tr(C_S) / D I. At s = 1 the map is a rotation.
"""

import numpy as np

_EPSILON = 1e-9


def apply(descriptors, mean, projection):
    """L2(projection (x - mean)), float32 [n, d]; rows of zeros (missing photos) stay zero."""
    present = np.abs(descriptors).sum(1, keepdims=True) > 0
    moved = (descriptors - mean) @ projection.T * present
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def learned(descriptors, queries, positives, shrinkage, dimensions=0):
    """Mean float32 [D] and projection float32 [d, D] of learned whitening.

    Args:
        descriptors: float [n, D] for the mean and the rotation.
        queries, positives: float [m, D] matching descriptors, row by row.
        shrinkage: s above, 0 to 1.
        dimensions: d, 0 for D.
    """
    x = np.asarray(descriptors, np.float64)
    mean = x.mean(0)
    difference = np.asarray(queries, np.float64) - np.asarray(positives, np.float64)
    scatter = difference.T @ difference / max(len(difference), 1)
    size = scatter.shape[0]
    scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / size * np.eye(size)
    return mean.astype(np.float32), _rotate(x - mean, _inverse_root(scatter), dimensions).astype(np.float32)


def pca(descriptors, shrinkage, dimensions=0):
    """Mean and projection of PCA whitening; the covariance is shrunk as above."""
    x = np.asarray(descriptors, np.float64)
    mean = x.mean(0)
    covariance = np.cov((x - mean).T, bias=True)
    size = covariance.shape[0]
    covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
    return mean.astype(np.float32), _rotate(x - mean, _inverse_root(covariance), dimensions).astype(np.float32)


def nothing(size):
    """The map that leaves descriptors of a size as they are."""
    return np.zeros(size, np.float32), np.eye(size, dtype=np.float32)


def _inverse_root(matrix):
    """Symmetric M^(-1/2) of a positive semidefinite matrix, scaled to a largest gain of 1 so that float32 is enough."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, _EPSILON * max(values[-1], _EPSILON))
    gains = np.sqrt(values[0] / values)
    return (vectors * gains) @ vectors.T


def _rotate(centered, whitening, dimensions):
    """Rows of the whitening along the axes of falling variance; signs are fixed so that the result is unique."""
    moved = centered @ whitening
    _, axes = np.linalg.eigh(moved.T @ moved)
    axes = axes[:, ::-1][:, : dimensions or None]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1, 1)
    return axes.T @ whitening
