"""Evidence of the 3D models and of the verified matches for pairs of photos."""

from collections.abc import Mapping, Sequence

import numpy as np

from bow2cnn.pairs.covisibility import Covisibility
from bow2cnn.pairs.positives import EVIDENCE
from bow2cnn.pairs.visibility import Visibility
from bow2cnn.reconstruction.cameras import camera_centers


class Evidence:
    """Evidence for pairs of photos in one model. Views are rows of the registered photos in the `models` artefact.

    Args:
        built: arrays of the `models` artefact.
        graph: `pair` and `inliers` of the graph; None if there is no graph, so that pools have no `inliers`.
        size: int [n, 2], width and height of every photo of the collection (pixels).
    """

    def __init__(self, built: Mapping[str, np.ndarray], graph: Mapping[str, np.ndarray] | None, size: np.ndarray) -> None:
        self._built = built
        self._visibility = Visibility(built, size)
        self._inliers: dict[tuple[int, ...], int] = {}
        self._fields = {"photo": np.int32, **EVIDENCE}
        if graph:
            self._inliers = {tuple(pair): int(n) for pair, n in zip(graph["pair"].tolist(), graph["inliers"], strict=True)}
        else:
            del self._fields["inliers"]
        self._center = camera_centers(built["rotation"], built["translation"])
        self._covisibility = Covisibility(built["observation_offset"], built["observation/point"])

    def sharing(self, view: int, views: Sequence[int], min_shared: int) -> np.ndarray:
        """Photos of the other views that have at least `min_shared` points in common with a view, int32, sorted."""
        others = _without(view, views)
        shared = self._covisibility.shared(view)[others]
        return np.sort(self._built["photo"][others[shared >= min_shared]]).astype(np.int32)

    def is_matched(self, view: int, views: Sequence[int], min_shared: int, nearest: int) -> bool:
        """Whether one of the candidates of a view is `matched`; the arguments are those of `pool`."""
        others, _ = self._nearest(view, views, nearest)
        return bool((self._covisibility.shared(view)[others] >= min_shared).any())

    def pool(self, view: int, views: Sequence[int], min_shared: int, nearest: int) -> dict[str, np.ndarray]:
        """The candidate positives of a view with their evidence.

        A candidate sees at least `min_shared` points of the query. In most candidates features were matched there (`matched`); the others
        see the points by the geometry of the model alone, see `Visibility`.

        Args:
            view: the query.
            views: of its model.
            min_shared: number of points.
            nearest: number of views with the nearest cameras that are considered.

        Returns:
            dict of arrays with a row per candidate, in the order of camera distance. P(q) are the points of the query, P(i) those of the
            candidate.

            - `photo` int32.
            - `shared` int32: size of the intersection of P(i) and P(q).
            - `matched` bool: whether `shared` is at least `min_shared`.
            - `overlap` float32: shared / |P(q)|.
            - `visible` float32: share of P(q) that the candidate sees, matched or not.
            - `scale` float32: ratio of the sizes at which the two photos show a point (focal length / depth), the larger over the smaller;
              median over the common points, or over all visible points if the photos are not matched.
            - `distance` float32: between the cameras, as a fraction of the extent of the model's cameras.
            - `inliers` int32: of the verified match, 0 if there is none. Only if there is a graph.
        """
        extent = max(float(np.ptp(self._center[views], axis=0).max()), 1e-12)
        points = self._covisibility.points(view)
        rows = []
        for other, distance in zip(*self._nearest(view, views, nearest), strict=True):
            common = np.isin(points, self._covisibility.points(other), assume_unique=True)
            seen = common | self._visibility.sees(other, view, points)
            shared, visible = int(common.sum()), int(seen.sum())
            if visible < max(min_shared, 1):
                continue
            matched = shared >= min_shared
            scale = self._scale(view, other, points[common if matched else seen])
            photo, query = self._photo(other), self._photo(view)
            inliers = self._inliers.get((min(photo, query), max(photo, query)), 0)
            row = photo, shared, matched, shared / len(points), visible / len(points), scale, distance / extent, inliers
            rows.append(row[: len(self._fields)])
        columns = zip(*rows, strict=True) if rows else [()] * len(self._fields)
        return {name: np.array(column, dtype) for (name, dtype), column in zip(self._fields.items(), columns, strict=True)}

    def _nearest(self, view, views, count):
        """The views with the nearest cameras, int64 [c], in the order of their distances, and the distances, float64 [c]."""
        others = _without(view, views)
        distance = np.linalg.norm(self._center[others] - self._center[view], axis=1)
        nearest = np.argsort(distance, kind="stable")[:count]
        return others[nearest], distance[nearest]

    def _photo(self, view):
        return int(self._built["photo"][view])

    def _scale(self, a, b, points):
        ratio = float(np.median(self._size_of(a, points) / self._size_of(b, points)))
        return max(ratio, 1 / ratio)

    def _size_of(self, view, points):
        """The length in pixels at which a photo shows a unit of length at each point."""
        built = self._built
        depth = built["point"][points] @ built["rotation"][view][2] + built["translation"][view][2]
        return built["focal"][view] / np.maximum(depth, 1e-12)


def _without(view, views):
    """The other views, int64."""
    views = np.asarray(views, np.int64)
    return views[views != view]
