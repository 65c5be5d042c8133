"""Which points of a 3D model a photo sees, though no feature was matched there: at night, in another season, at another scale.

A photo sees a point if the point projects into the photo, lies in front of its camera and is not hidden behind other points of the model,
and if the camera looks at it from a direction that is not too far from that of the query.
"""

from collections.abc import Mapping

import numpy as np

from bow2cnn.reconstruction.cameras import camera_centers

_MAX_ANGLE = 45.0  # degrees between the directions from a point to the two cameras; matches of local features rarely survive more
_CELLS = 50  # cells along the longer side of a photo, in which depths are compared
_NEARER = 0.8  # a point is hidden by points at less than this share of its depth; the rest is slant and error of one surface
_HIDING = 3  # number of nearer points that hide a point; fewer may be errors of the model


class Visibility:
    """The points of the models that their photos see.

    Args:
        built: arrays of the `models` artefact.
        size: int [n, 2], width and height of every photo of the collection (pixels).
    """

    def __init__(self, built: Mapping[str, np.ndarray], size: np.ndarray) -> None:
        self._built, self._size = built, size
        self._center = camera_centers(built["rotation"], built["translation"])
        self._surfaces: tuple[int, dict[int, np.ndarray]] = -1, {}  # of the views of one model, the last one

    def sees(self, view: int, query: int, points: np.ndarray) -> np.ndarray:
        """Find the points that a view sees about as a query does. Views are rows of the registered photos in the `models` artefact.

        Args:
            view: of the same model as the query.
            query: the view with which the direction is compared.
            points: int64 [k], rows of points.

        Returns:
            bool [k].
        """
        cell, depth = self._project(view, points)
        to_view, to_query = (self._center[camera] - self._built["point"][points] for camera in (view, query))
        lengths = np.linalg.norm(to_view, axis=1) * np.linalg.norm(to_query, axis=1)
        near = (to_view * to_query).sum(1) >= np.cos(np.radians(_MAX_ANGLE)) * lengths
        return near & (cell >= 0) & (self._depth_of_surface(view)[cell] >= _NEARER * depth)

    def _project(self, view, points):
        """The cell of the photo in which each point lies, int64 [k], -1 outside the photo; and the depths, float64 [k]."""
        built = self._built
        camera = built["point"][points] @ built["rotation"][view].T + built["translation"][view]
        depth = camera[:, 2]
        plane = camera[:, :2] / np.maximum(depth, 1e-12)[:, None]
        radius = (plane**2).sum(1)
        k1 = built["k1"][view]
        width, height = self._size[built["photo"][view]].tolist()
        pixel = built["focal"][view] * plane * (1 + k1 * radius)[:, None] + np.array([width, height]) / 2
        inside = (depth > 0) & (pixel >= 0).all(1) & (pixel < [width, height]).all(1)
        inside &= 1 + 3 * k1 * radius > 0  # beyond, the distortion folds points back into the photo
        column, row = (np.where(inside[:, None], pixel, 0) * (_CELLS / max(width, height))).astype(np.int64).T
        return np.where(inside, row * _CELLS + column, -1), depth

    def _depth_of_surface(self, view):
        """For each cell the depth of its `_HIDING`-th nearest point, float64 [_CELLS * _CELLS + 1], infinite where there are fewer points.
        Points of the neighbouring cells count too. The last value is for points outside the photo.
        """
        model = int(np.searchsorted(self._built["photo_offset"], view, "right")) - 1
        if self._surfaces[0] != model:
            self._surfaces = model, {}
        known = self._surfaces[1]
        if view not in known:
            known[view] = self._find_surface(view, np.arange(*self._built["point_offset"][model : model + 2]))
        return known[view]

    def _find_surface(self, view, points):
        cell, depth = self._project(view, points)
        cell, depth = _with_neighbours(cell[cell >= 0], depth[cell >= 0])
        order = np.lexsort((depth, cell))
        cell, depth = cell[order], depth[order]
        surface = np.full(_CELLS * _CELLS + 1, np.inf)
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        enough = np.diff(first, append=len(cell)) >= _HIDING
        surface[cell[first[enough]]] = depth[first[enough] + _HIDING - 1]
        return surface


def _with_neighbours(cell, depth):
    """Every point in its own cell and in the eight cells around it: cells and depths."""
    row, column = np.divmod(cell, _CELLS)
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    rows, columns = (np.concatenate([start + step[axis] for step in steps]) for axis, start in enumerate((row, column)))
    inside = (rows >= 0) & (rows < _CELLS) & (columns >= 0) & (columns < _CELLS)
    return (rows * _CELLS + columns)[inside], np.tile(depth, len(steps))[inside]
