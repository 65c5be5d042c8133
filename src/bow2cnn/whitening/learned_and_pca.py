"""Whitening as a linear map: x to L2(P (x - m)).

Learned whitening (Mikolajczyk and Matas, ICCV 2007; Radenovic, Tolias, Chum, TPAMI 2018, section 3.4): whiten the differences of
matching pairs, then rotate to the principal axes of all descriptors in that space, so that the first d axes are the best d.

    C_S = mean of (q - p)(q - p)^T over matching pairs,   P = V^T C_S^(-1/2),   V = eigenvectors of the covariance of C_S^(-1/2) x

With fewer pairs than dimensions C_S is singular, and directions that no pair happens to vary in would be blown up. It is therefore
shrunk towards a multiple of the identity (Ledoit and Wolf, 2004): (1 - s) C_S + s tr(C_S) / D I. At s = 1 the map is a rotation.
Shrinking moves the eigenvalues and keeps the eigenvectors, so one decomposition serves every s.
"""

from collections.abc import Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from bow2cnn.descriptors.apply_whitening import blocks

KINDS = ("learned", "pca", "mixed")
_EPSILON = 1e-9


class Whitenings:
    """The whitenings of one scatter matrix by all shrinkages.

    Args:
        mean: float64 [D], of all descriptors, see `spread_of`.
        spread: float64 [D, D], of all descriptors, see `spread_of`.
        scatter: float64 [D, D], see `learn`.

    Attributes:
        mean: float32 [D].
        axes: float64 [D, D], eigenvectors of the scatter in columns.
    """

    def __init__(self, mean: np.ndarray, spread: np.ndarray, scatter: np.ndarray) -> None:
        self.mean = mean.astype(np.float32)
        self._values, self.axes = _eigh(scatter)
        self._covariance = self.axes.T @ spread @ self.axes

    def gains(self, shrinkage: float) -> np.ndarray:
        """Factors of the shrunk M^(-1/2) along the axes, float64 [D], scaled so that the largest is 1 and float32 is enough.

        Args:
            shrinkage: s above, 0 to 1.
        """
        values = (1 - shrinkage) * self._values + shrinkage * self._values.mean()
        values = np.maximum(values, _EPSILON * max(values[-1], _EPSILON))
        return np.sqrt(values[0] / values)

    def projection(self, shrinkage: float, dimensions: int = 0) -> np.ndarray:
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


def learn(
    descriptors: np.ndarray, rows: np.ndarray, queries: np.ndarray, positives: np.ndarray, kinds: Iterable[str] = KINDS
) -> dict[str, Whitenings]:
    """Learn whitenings.

    Args:
        descriptors: float [n, D].
        rows: int [r], rows for the mean, the rotation and the principal components.
        queries: int [m], rows of the first descriptors of the matching pairs.
        positives: int [m], rows of the second ones.
        kinds: of `KINDS`.

    Returns:
        by kind: `learned` from the matching pairs (Mikolajczyk and Matas, see above), `pca` from the covariance of the rows, `mixed` from
        the sum of both scatter matrices, each divided by its trace.
    """
    mean, spread = spread_of(descriptors, rows)
    pairs = np.zeros_like(spread)
    for block in blocks(len(queries)):
        difference = descriptors[queries[block]].astype(np.float64) - descriptors[positives[block]]
        pairs += difference.T @ difference
    scatters = {
        "learned": pairs / max(len(queries), 1),
        "pca": spread / len(rows),
        "mixed": pairs / max(np.trace(pairs), _EPSILON) + spread / max(np.trace(spread), _EPSILON),
    }
    return {kind: Whitenings(mean, spread, scatters[kind]) for kind in kinds}


def spread_of(descriptors: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of some rows and their scatter about it.

    Args:
        descriptors: float [n, D].
        rows: int [r].

    Returns:
        mean float64 [D], and the sum of (x - mean)(x - mean)^T over the rows, float64 [D, D].
    """
    mean = sum(descriptors[rows[block]].sum(0, dtype=np.float64) for block in blocks(len(rows))) / len(rows)
    spread = np.zeros((descriptors.shape[1],) * 2)
    for block in blocks(len(rows)):
        centered = descriptors[rows[block]] - mean
        spread += centered.T @ centered
    return mean, spread


def _eigh(matrix):
    """Eigenvalues ascending, and eigenvectors.

    It takes one thread of the library: several wait for each other so often that on a busy machine they take 50 times as long as one.
    """
    with threadpool_limits(1, user_api="blas"):
        return np.linalg.eigh(matrix)
