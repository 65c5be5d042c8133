"""Reconstruct 3D models of the clusters of one shard, each on one thread."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import write_errors
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.printable import first_line
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.features.store import FeatureStore
from bow2cnn.photos.decode import PhotoError, read_rgb
from bow2cnn.reconstruction.colmap import name_in_colmap, to_arrays
from bow2cnn.reconstruction.model_cache import ModelCache, link_folder, source_of
from bow2cnn.reconstruction.models import find_duplicates, implausible, pack_models
from bow2cnn.reconstruction.reuse_earlier_models import SYSTEM_ERRORS, build_models

# A camera did not move if more than this share of the pairs have more than this share of their inliers at the same place in both photos.
_STATIC_PAIRS, _STATIC_INLIERS = 0.9, 0.8
_COLOR_SIDE = 400  # pixels: longer side at which photos are read for the colours of points


def reconstruct_shard(
    shard: int,
    shards: int,
    clusters: str | Path,
    graph: str | Path,
    collection: str | Path,
    features: Sequence[str | Path],
    out: str | Path,
    colmap: str | Path,
    state: str | Path,
    min_photos: int,
    seed: int,
    mapper: str = "incremental",
    code: str = "",
) -> None:
    """Write the `models` artefact of one shard of clusters and a COLMAP folder per model.

    If a cluster fails, the reason is recorded and the other clusters go on. A cluster with the same photos and matches as in an earlier or
    a killed run is not mapped again. If a cluster only got more photos or matches, its models are extended.

    Args:
        shard: number of this shard; shards: number of shards. Clusters are balanced over the shards by their numbers of pairs.
        clusters, graph, collection: paths of the artefacts.
        features: paths of the `features` artefacts, in the order of their shards.
        out: path of the artefact to write.
        colmap: folder that gets one COLMAP folder per model, with the name CLUSTER-MODEL; its former content is deleted.
        state: folder of the models that are kept for later runs; `gather_models` cleans it up.
        min_photos: registered photos of the smallest model.
        seed, mapper: see `colmap.map_cluster`.
        code: digest of the code; a kept model depends on it.

    Raises:
        ArtefactError: an input cannot be used, or is of other photos than the collection.
        WriteError, OSError, MemoryError: the disk or the memory is full, or a file cannot be read.
    """
    check_photos(collection, graph, clusters, features)
    inputs = _Inputs(clusters, graph, collection, features)
    colmap = Path(colmap)
    with write_errors(colmap):
        shutil.rmtree(colmap, ignore_errors=True)
        colmap.mkdir(parents=True)
    cache, keys = ModelCache(state), []
    made_with, grown_by = lineage("models", min_photos, seed, mapper, code), lineage_of(clusters, "clusters")
    models, rejected = [], []
    for cluster in progress(balance(inputs.edge_counts(), shards)[shard], f"models of shard {shard}"):
        photos = inputs.members(cluster)
        try:
            views, pairs = inputs.views(photos), inputs.pairs(cluster)
            source = source_of(views, pairs, made_with, grown_by)
            built = _build(cache, source, views, pairs, min_photos, seed, mapper)
            found, refused = _judge(built, cluster, views, inputs, min_photos)
        except (*SYSTEM_ERRORS, artefact.ArtefactError):
            raise
        except Exception as error:  # pycolmap raises errors of many kinds; one bad cluster does not stop the others
            rejected.append((cluster, len(photos), f"mapping failed: {first_line(error)}"))
            continue
        keys.append(source.key)
        rejected += refused
        for number, arrays, folder in found:
            models.append(arrays)
            link_folder(folder, colmap / f"{cluster:04d}-{number}")
    arrays = {**pack_models(models, rejected), "kept": keys, **photos_of(collection)}
    artefact.write(out, "models", arrays, {"min_photos": min_photos, "seed": seed, "mapper": mapper})


def _build(cache, source, views, pairs, min_photos, seed, mapper):
    """The models of a cluster and their folders in the cache. New models are read back from it, so that they are equal to kept ones."""
    found = cache.load(source)
    if found is None:
        cache.save(source, build_models(cache.find_smaller(source), views, pairs, min_photos, seed, mapper))
        found = cache.load(source)
        if found is None:
            raise ValueError("COLMAP cannot read the models that it wrote")
    return found


def _judge(built, cluster, views, inputs, min_photos):
    """The good models of a cluster, (number, arrays, folder), and the rejected ones, (cluster, number of photos, reason)."""
    photos = inputs.members(cluster)
    if not built:
        return [], [(cluster, len(photos), inputs.why_no_model(cluster, min_photos))]
    found, rejected, larger = [], [], set()
    for number, (model, folder) in enumerate(built):
        arrays = to_arrays(model, views)
        own = arrays["photo"].tolist()
        reason = implausible(arrays, inputs.longer_side[photos[own]]) or find_duplicates(own, larger, min_photos)
        if reason:
            rejected.append((cluster, len(own), reason))
            continue
        larger.update(own)
        arrays["color"] = _point_colors(arrays, photos, inputs)
        found.append((number, {**arrays, "photo": photos[own], "cluster": cluster}, folder))
    return found, rejected


def balance(weights: Sequence[int] | np.ndarray, shards: int) -> list[list[int]]:
    """Distribute clusters over shards: the heaviest first, each to the shard with the smallest weight so far.

    Args:
        weights: of the clusters.
        shards: number of shards.

    Returns:
        The clusters of each shard.
    """
    loads = np.zeros(shards)
    clusters_of: list[list[int]] = [[] for _ in range(shards)]
    for cluster in np.argsort(-np.asarray(weights), kind="stable"):
        lightest = int(np.argmin(loads))
        clusters_of[lightest].append(int(cluster))
        loads[lightest] += weights[cluster]
    return clusters_of


class _Inputs:
    """The mapper's inputs for the photos of a cluster."""

    def __init__(self, clusters, graph, collection, features):
        clusters = artefact.read(clusters, "clusters", ["offset", "photo", "bridge/pair"])
        self._offset, self._photo = clusters["offset"], clusters["photo"]
        self._bridges = set(map(tuple, clusters["bridge/pair"].tolist()))
        self._graph = artefact.read(graph, "graph", ["pair", "fundamental", "unmoved", "match_offset", "match"])
        self._collection = artefact.read(collection, "collection")
        self._store = FeatureStore(features, capacity=0)
        self.longer_side = np.maximum(self._collection["width"], self._collection["height"])
        self._edges = self._edges_by_cluster()

    def members(self, cluster):
        return self._photo[self._offset[cluster] : self._offset[cluster + 1]]

    def _edges_by_cluster(self):
        """The rows of the pairs between the photos of each cluster, ascending."""
        cluster = np.full(len(self.longer_side), -1)
        for number in range(len(self._offset) - 1):
            cluster[self.members(number)] = number
        ends = cluster[self._graph["pair"]]
        inside = np.flatnonzero((ends[:, 0] >= 0) & (ends[:, 0] == ends[:, 1]))
        inside = inside[np.argsort(ends[inside, 0], kind="stable")]
        bounds = np.searchsorted(ends[inside, 0], np.arange(len(self._offset)))
        return [inside[start:stop] for start, stop in itertools.pairwise(bounds)]

    def edge_counts(self):
        return [len(edges) for edges in self._edges]

    def why_no_model(self, cluster, min_photos):
        """The reason why the photos of a cluster have no model."""
        static = self._graph["unmoved"][self._edges[cluster]]
        if len(static) and np.mean(static > _STATIC_INLIERS) > _STATIC_PAIRS:
            return f"no model: the camera did not move between its {len(self.members(cluster))} photos"
        return f"no model of {min_photos} photos or more could be built"

    def path(self, photo):
        return self._collection["path"][photo]

    def size(self, photo):
        return int(self._collection["width"][photo]), int(self._collection["height"][photo])

    def keypoints(self, photo):
        return self._store.keypoints(photo)[:, :2]

    def views(self, photos):
        """Photos as `map_cluster` takes them."""
        c = self._collection
        return [
            {
                "name": name_in_colmap(c["sha256"][photo], c["name"][photo]),
                "width": c["width"][photo],
                "height": c["height"][photo],
                "focal": c["focal"][photo],
                "xy": self.keypoints(photo),
                "scale": self._store.scale(photo),
            }
            for photo in photos
        ]

    def pairs(self, cluster):
        """Pairs of a cluster's photos as `map_cluster` takes them, without bridges."""
        position = {photo: i for i, photo in enumerate(self.members(cluster).tolist())}
        graph, edges = self._graph, self._edges[cluster]
        return [
            (
                position[a],
                position[b],
                graph["fundamental"][e],
                graph["match"][graph["match_offset"][e] : graph["match_offset"][e + 1]],
            )
            for e, (a, b) in zip(edges.tolist(), graph["pair"][edges].tolist(), strict=True)
            if (a, b) not in self._bridges
        ]


def _point_colors(arrays, photos, inputs):
    """Mean colour of every point over the photos that see it, uint8 [X, 3]."""
    total, count = np.zeros((len(arrays["point"]), 3)), np.zeros(len(arrays["point"]))
    for position, (points, rows) in zip(arrays["photo"], arrays["observations"], strict=True):
        photo = photos[position]
        try:
            rgb = read_rgb(inputs.path(photo), _COLOR_SIDE)
        except PhotoError:  # the photo has vanished since; other photos show its points too
            continue
        scale = np.array(rgb.shape[1::-1]) / inputs.size(photo)
        xy = np.floor(inputs.keypoints(photo)[rows] * scale).astype(int)
        x, y = np.clip(xy[:, 0], 0, rgb.shape[1] - 1), np.clip(xy[:, 1], 0, rgb.shape[0] - 1)
        np.add.at(total, points, rgb[y, x].astype(float))
        np.add.at(count, points, 1)
    return np.rint(total / np.maximum(count, 1)[:, None]).astype(np.uint8)
