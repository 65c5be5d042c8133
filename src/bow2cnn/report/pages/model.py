"""The page of a 3D model: its points and cameras, its photos, the match graph of its cluster, its hardest true pairs."""

import numpy as np

from bow2cnn.features.store import FeatureStore
from bow2cnn.pairs.covisibility import Covisibility
from bow2cnn.pictures.match_drawing import pair_panel
from bow2cnn.pictures.thumbnails import ThumbnailCache, to_uri
from bow2cnn.pictures.view import SAMPLES, View
from bow2cnn.report import cloud
from bow2cnn.report.pages.network import draw_network
from bow2cnn.run.run import Run
from bow2cnn.split.sides import SIDES

_POINTS = 25_000  # in the viewer
_PHOTOS = 400  # shown
_PAIRS = 8
_MIN_SHARED = 15  # least common points of a pair that is shown


class ModelPages:
    """The pages of the 3D models of a run.

    Args:
        run: with features, graph, clusters, models and split.
        thumbs: draws the photos.
    """

    def __init__(self, run: Run, thumbs: ThumbnailCache) -> None:
        self._run, self._models, self._thumbs = run, run.models, thumbs
        self._covisibility = Covisibility(run.models["observation_offset"], run.models["observation/point"])
        self._store = FeatureStore(run.shards("features"), capacity=0)

    def __len__(self) -> int:
        """Number of models."""
        return len(self._models["cluster"])

    def page(self, number: int) -> dict:
        """What the template shows about a model."""
        arrays = self._models
        views = slice(*arrays["photo_offset"][number : number + 2])
        points = slice(*arrays["point_offset"][number : number + 2])
        cluster, side = int(arrays["cluster"][number]), int(self._run.split["side"][number])
        scene = cloud.arrange(arrays["point"][points], arrays["color"][points], arrays["rotation"][views], arrays["translation"][views])
        members = arrays["photo"][views].tolist()
        return {
            "number": number,
            "cluster": cluster,
            "of": int(np.count_nonzero(self._run.clusters["cluster"] == cluster)),
            "count": len(members),
            "points": points.stop - points.start,
            "error": float(arrays["error"][number]),
            "side": SIDES[side],
            "reason": self._run.split["reason"][number] if side == 0 else "",
            "picture": to_uri(cloud.draw(scene), 80),
            "packed": cloud.pack(scene, _POINTS),
            "photos": self._pictures(views),
            "network": self._network(cluster, set(members)),
            "pairs": [self._pair(*pair) for pair in self.hardest(views)],
        }

    def hardest(self, views: slice) -> list[tuple[int, int, np.ndarray]]:
        """The pairs of views that share the smallest part of their points; no view is in more than two.

        Returns:
            per pair the two views and the points that both see, int64 [k], sorted.
        """
        size = [len(self._covisibility.points(view)) for view in range(views.start, views.stop)]
        pairs: list[tuple[float, int, int]] = []
        for a in range(len(size)):
            shared = self._covisibility.shared(views.start + a)[views]
            others = a + 1 + np.flatnonzero(shared[a + 1 :] >= _MIN_SHARED)
            share = shared[others] / np.minimum(size[a], np.take(size, others))
            # At most two pairs of one photo are chosen, and at most `_PAIRS` are skipped because the other photo is in two pairs already.
            order = np.argsort(share, kind="stable")[: _PAIRS + 2]
            pairs += zip(share[order].tolist(), [a] * len(order), others[order].tolist(), strict=True)
        used = np.zeros(len(size), int)
        chosen: list[tuple[int, int, np.ndarray]] = []
        for _, a, b in sorted(pairs):
            if used[a] < 2 and used[b] < 2 and len(chosen) < _PAIRS:
                used[[a, b]] += 1
                seen, also = (self._covisibility.points(views.start + view) for view in (a, b))
                common = np.intersect1d(seen, also, assume_unique=True)
                chosen.append((views.start + a, views.start + b, common))
        return chosen

    def _pictures(self, views):
        """Photos, those that see most points first."""
        counts = np.diff(self._models["observation_offset"][views.start : views.stop + 1])
        order = np.argsort(-counts, kind="stable")[:_PHOTOS]
        rows = self._models["photo"][views][order].tolist()
        return [
            {
                "uri": self._thumbs.photo(self._run.photos["path"][row], (150, 110)),
                "name": self._run.photos["name"][row],
                "points": int(count),
            }
            for row, count in zip(rows, counts[order], strict=True)
        ]

    def _network(self, cluster, members):
        inside = (self._run.clusters["cluster"][self._run.graph["pair"]] == cluster).all(1)
        return draw_network(self._run.graph["pair"][inside], self._run.graph["inliers"][inside], self._run.photos["name"], members)

    def _pair(self, first, second, points):
        """Two photos with their common points."""
        rows = [int(self._models["photo"][view]) for view in (first, second)]
        views = [View(self._run.photos["path"][row], self._run.size(row)) for row in rows]
        places = [view.place(self._seen_at(number, points)) for view, number in zip(views, (first, second), strict=True)]
        panel = pair_panel(*(view.image for view in views), *places, " - ".join(self._run.photos["name"][row] for row in rows))
        return {"uri": to_uri(panel.resize((panel.width // SAMPLES, panel.height // SAMPLES)), 75), "points": len(points)}

    def _seen_at(self, view, points):
        """Where a view sees points, float32 [k, 2]."""
        rows = slice(*self._models["observation_offset"][view : view + 2])
        seen, first = np.unique(self._models["observation/point"][rows], return_index=True)
        features = self._models["observation/feature"][rows][first][np.searchsorted(seen, points)]
        return self._store.keypoints(int(self._models["photo"][view]))[features, :2]
