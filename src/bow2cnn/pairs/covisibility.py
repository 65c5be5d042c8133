"""How many 3D points two photos of the models have in common, without a walk through all pairs of photos."""

import numpy as np
from scipy import sparse


class Covisibility:
    """What views (photos of models) see.

    Args:
        offset: int64 [R + 1]; point: int64 [offset[R]]: the points that each of R views sees, perhaps more than once.
    """

    def __init__(self, offset, point):
        view = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
        shape = len(offset) - 1, int(point.max(initial=-1)) + 1
        self._points = sparse.csr_array((np.ones(len(point), np.int32), (view, point)), shape=shape)
        self._points.data[:] = 1  # points that were seen twice have been added up
        self._views = self._points.T.tocsr()

    def points(self, view):
        """Points of a view, sorted and distinct."""
        return self._points.indices[self._points.indptr[view] : self._points.indptr[view + 1]]

    def shared(self, view):
        """Points that every view has in common with one, int64 [R]."""
        return np.bincount(self._views[self.points(view)].indices, minlength=self._points.shape[0])
