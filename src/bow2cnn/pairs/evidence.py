"""Evidence of the 3D models and of the verified matches for pairs of photos."""

from collections.abc import Mapping, Sequence

import numpy as np

from bow2cnn.pairs.covisibility import Covisibility
from bow2cnn.pairs.positives import EVIDENCE


class Evidence:
    """Evidence for pairs of photos in one model. Views are rows of the registered photos in the `models` artefact.

    Args:
        built: arrays of the `models` artefact.
        graph: `pair` and `inliers` of the graph; None if there is no graph, so that pools have no `inliers`.
    """

    def __init__(self, built: Mapping[str, np.ndarray], graph: Mapping[str, np.ndarray] | None) -> None:
        self._built = built
        self._inliers: dict[tuple[int, ...], int] = {}
        self._fields = {"photo": np.int32, **EVIDENCE}
        if graph:
            self._inliers = {tuple(pair): int(n) for pair, n in zip(graph["pair"].tolist(), graph["inliers"], strict=True)}
        else:
            del self._fields["inliers"]
        rotation, translation = built["rotation"], built["translation"]
        self._center = -np.einsum("nji,nj->ni", rotation, translation)  # C = -R^T t
        self._covisibility = Covisibility(built["observation_offset"], built["observation/point"])
        self._seen: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def sharing(self, view: int, views: Sequence[int], min_shared: int) -> np.ndarray:
        """Photos of the other views that have at least `min_shared` points in common with a view, int32, sorted."""
        others = _without(view, views)
        shared = self._covisibility.shared(view)[others]
        return np.sort(self._built["photo"][others[shared >= min_shared]]).astype(np.int32)

    def candidates(self, view: int, views: Sequence[int], min_shared: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidate positives of a view.

        Args:
            view: the query.
            views: of its model.
            min_shared: common points of a candidate.
            size: number of views with the nearest cameras that are considered.

        Returns:
            Views, int64 [c], in the order of camera distance, and their distances, float64 [c].
        """
        others = _without(view, views)
        distance = np.linalg.norm(self._center[others] - self._center[view], axis=1)
        nearest = np.argsort(distance, kind="stable")[:size]
        nearest = nearest[self._covisibility.shared(view)[others[nearest]] >= min_shared]
        return others[nearest], distance[nearest]

    def pool(self, view: int, views: Sequence[int], min_shared: int, size: int) -> dict[str, np.ndarray]:
        """The candidate positives of a view with their evidence.

        Args:
            view, views, min_shared, size: see `candidates`.

        Returns:
            dict of arrays with a row per candidate, in the order of camera distance. P(q) are the points of the query, P(i) those of the
            candidate.

            - `photo` int32.
            - `shared` int32: size of the intersection of P(i) and P(q).
            - `overlap` float32: shared / |P(q)|.
            - `scale` float32: ratio of the sizes at which the two photos show a common point (focal length / depth), the larger over the
              smaller; median over the common points.
            - `distance` float32: between the cameras, as a fraction of the extent of the model's cameras.
            - `inliers` int32: of the verified match, 0 if there is none. Only if there is a graph.
        """
        extent = max(float(np.ptp(self._center[views], axis=0).max()), 1e-12)
        rows = []
        for other, distance in zip(*self.candidates(view, views, min_shared, size), strict=True):
            common, in_view, in_other = self._common(view, other)
            scale = self._scale(view, in_view, other, in_other)
            photo, query = self._photo(other), self._photo(view)
            inliers = self._inliers.get((min(photo, query), max(photo, query)), 0)
            overlap = len(common) / len(self._points(view)[0])
            rows.append((photo, len(common), overlap, scale, distance / extent, inliers)[: len(self._fields)])
        columns = zip(*rows, strict=True) if rows else [()] * len(self._fields)
        return {name: np.array(column, dtype) for (name, dtype), column in zip(self._fields.items(), columns, strict=True)}

    def _photo(self, view):
        return int(self._built["photo"][view])

    def _points(self, view):
        """Points of a view, sorted and distinct, and the length in pixels of a unit of length at each of them."""
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


def _without(view, views):
    """The other views, int64."""
    views = np.asarray(views, np.int64)
    return views[views != view]
