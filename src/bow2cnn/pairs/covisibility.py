"""Count the 3D points that photos have in common, without a loop over all pairs of photos."""

import numpy as np
from scipy import sparse


class Covisibility:
    """The points that the views of all models see. A view is a photo in a model.

    Args:
        offset, point: int64 [R + 1], int64 [offset[R]], the points of each of R views; a view may see a point more than once.
    """

    def __init__(self, offset: np.ndarray, point: np.ndarray) -> None:
        view = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
        shape = len(offset) - 1, int(point.max(initial=-1)) + 1
        self._points = sparse.csr_array((np.ones(len(point), np.int32), (view, point)), shape=shape)
        self._points.data[:] = 1  # a point that was seen twice counts once
        self._views = self._points.T.tocsr()

    def points(self, view: int) -> np.ndarray:
        """Points of a view, int [k], sorted and distinct."""
        return self._points.indices[self._points.indptr[view] : self._points.indptr[view + 1]]

    def shared(self, view: int) -> np.ndarray:
        """Number of points that every view has in common with this one, int64 [R]."""
        return np.bincount(self._views[self.points(view)].indices, minlength=self._points.shape[0])
