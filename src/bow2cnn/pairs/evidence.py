"""What a 3D model and the verified matches say of a pair of its photos."""

from typing import ClassVar

import numpy as np


class Evidence:
    """Evidence on pairs of photos of the models.

    Args:
        built: arrays of the `models` artefact.
        graph: `pair` and `inliers` of the graph; None where there is none.
    """

    FIELDS: ClassVar = {
        "photo": np.int32,
        "shared": np.int32,
        "overlap": np.float32,
        "scale": np.float32,
        "distance": np.float32,
        "inliers": np.int32,
    }

    def __init__(self, built, graph):
        self._built = built
        edges = zip(graph["pair"].tolist(), graph["inliers"], strict=True) if graph else ()
        self._inliers = {tuple(pair): int(n) for pair, n in edges}
        rotation, translation = built["rotation"], built["translation"]
        self._center = -np.einsum("nji,nj->ni", rotation, translation)  # C = -R^T t
        self._seen = {}

    def sharing(self, view, views, min_shared):
        """Photos of other views with at least `min_shared` common points, int32."""
        photos = [self._photo(other) for other in views if other != view and len(self._common(view, other)[0]) >= min_shared]
        return np.array(sorted(photos), np.int32)

    def pool(self, view, views, min_shared, size):
        """Candidate positives of a view: of the `size` views with the nearest cameras those with `min_shared` common points.

        Returns:
            dict of arrays, one row per candidate in the order of camera distance: `photo`; `shared` = |P(i) and P(q)|; `overlap` =
            shared / |P(q)|; `scale` = the median ratio of the sizes at which both show the common points (focal length over depth),
            the larger over the smaller; `distance` = between the cameras, as a fraction of the extent of the model's cameras;
            `inliers` of the verified match (0: none).
        """
        others = [other for other in views if other != view]
        distance = np.linalg.norm(self._center[others] - self._center[view], axis=1) if others else np.zeros(0)
        extent = max(float(np.ptp(self._center[views], axis=0).max()), 1e-12)
        rows = []
        for i in np.argsort(distance, kind="stable")[:size]:
            common, in_view, in_other = self._common(view, others[i])
            if len(common) >= min_shared:
                scale = self._scale(view, in_view, others[i], in_other)
                photo, query = self._photo(others[i]), self._photo(view)
                inliers = self._inliers.get((min(photo, query), max(photo, query)), 0)
                overlap = len(common) / len(self._points(view)[0])
                rows.append((photo, len(common), overlap, scale, distance[i] / extent, inliers))
        columns = zip(*rows, strict=True) if rows else [()] * len(self.FIELDS)
        return {name: np.array(column, dtype) for (name, dtype), column in zip(self.FIELDS.items(), columns, strict=True)}

    def _photo(self, view):
        return int(self._built["photo"][view])

    def _points(self, view):
        """Points of a view, sorted and distinct, and the size in pixels of a unit of length at each."""
        if view not in self._seen:
            built, rows = self._built, slice(*self._built["observation_offset"][view : view + 2])
            points = np.unique(built["observation/point"][rows])
            depth = built["point"][points] @ built["rotation"][view][2] + built["translation"][view][2]
            self._seen[view] = points, built["focal"][view] / np.maximum(depth, 1e-12)
        return self._seen[view]

    def _common(self, a, b):
        return np.intersect1d(self._points(a)[0], self._points(b)[0], assume_unique=True, return_indices=True)

    def _scale(self, a, in_a, b, in_b):
        ratio = float(np.median(self._points(a)[1][in_a] / self._points(b)[1][in_b]))
        return max(ratio, 1 / ratio)
