"""The artefacts of a run that say something of its photos, as far as its stages have been run."""

import hashlib
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos, shards_of
from bow2cnn.pairs.negatives import read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.pairs.sources import folders_of_pairs
from bow2cnn.photos.copies import copies_of
from bow2cnn.photos.reasons import list_kinds

_MODELS = [
    "model", "cluster", "photo", "photo_offset", "observation_offset", "observation/point", "observation/feature",
    "rejected/cluster", "rejected/photos", "rejected/reason",
]  # fmt: skip
_HISTORY = ["chosen", "negatives/query", "negatives/positive", "negatives/photo"]


class UnknownPhoto(ValueError):
    """A photo of which the run knows nothing; the message says why, or what to do."""


class Files:
    """Artefacts of a run; each is None where its stage has not been run.

    Args:
        results: the run's folder.

    Raises:
        ArtefactError: there is no collection, or a file is damaged.
    """

    def __init__(self, results):
        self._results = Path(results)
        self._collection = self._results / "collection/collection.h5"
        self.photos = artefact.read(self._collection, "collection")

    @cached_property
    def features(self):
        """Paths in the order of the shards."""
        paths = shards_of(self._results, "features")
        check_photos(self._collection, paths)
        return paths

    @cached_property
    def graph(self):
        return self._read("clustering/graph.h5", "graph")

    @cached_property
    def seeds(self):
        return self._read("clustering/seeds.h5", "seeds", ["pair", "inliers"])

    @cached_property
    def clusters(self):
        return self._read("clustering/clusters.h5", "clusters")

    @cached_property
    def min_photos(self):
        """Of a cluster."""
        with artefact.Reader(self._results / "clustering/clusters.h5", "clusters") as reader:
            return reader.params["min_photos"]

    @cached_property
    def models(self):
        return self._read("reconstruction/models.h5", "models", _MODELS)

    @cached_property
    def split(self):
        return self._read("split/split.h5", "split", ["side", "place", "reason", "contaminated"])

    @cached_property
    def pairs(self):
        """Source to its `Positives` and its `NegativeRule`."""
        found = {}
        for source, folder in folders_of_pairs(self._results).items():
            paths = folder / "positives.h5", folder / "negatives.h5"
            check_photos(self._collection, *paths)
            found[source] = read_positives(paths[0]), read_negatives(paths[1])
        return found

    @cached_property
    def histories(self):
        """Of every experiment that has been trained, by name."""
        paths = sorted((self._results / "experiments").glob("*/history.h5"))
        return {path.parent.name: artefact.read(path, "history", _HISTORY) for path in paths}

    def is_blank(self, row):
        """Whether a photo has no local features in the index."""
        with artefact.Reader(self._results / "index/index.h5", "index") as reader:
            return bool(np.diff(reader.part("offset", row, row + 2)) == 0)

    def masked(self, row):
        """How many features of a photo are masked as those of watermarks, and how many features it has; None where that is not known."""
        if (path := self._checked("index/watermarks.h5")) is None:
            return None
        with artefact.Reader(path, "watermarks") as reader:
            start, stop = reader.part("offset", row, row + 2).tolist()
            return int(reader.part("masked", start, stop).sum()), stop - start

    @cached_property
    def given(self):
        """What the run has in the place of clusters of its own: "3D models", or the source of its pairs, such as "database"; None where it
        has clusters, or is not that far."""
        if self.graph is not None:
            return None
        return "3D models" if self.models is not None else next(iter(self.pairs), None)

    @cached_property
    def why_no_clusters(self):
        """The same as a reason."""
        began = {"3D models": "3D models", "database": "pairs"}.get(self.given)
        return f"the run began with {began}" if began else f"the run takes its pairs from {self.given}"

    def _read(self, name, kind, arrays=None):
        path = self._checked(name)
        return None if path is None else artefact.read(path, kind, arrays)

    def _checked(self, name):
        """The path of an artefact of the collection's photos, None where it is not there yet."""
        path = self._results / name
        if not path.exists():
            return None
        check_photos(self._collection, path)
        return path

    def find(self, photo):
        """Row of a photo of the collection: by its path, by the bytes of a file, or by the end of a path that only one photo has. A copy
        with a photo's bytes is that photo.

        Raises:
            UnknownPhoto: it is not in the collection, with the reason where the scan rejected it.
        """
        # Row of every path, or the reason why it is no photo. Photos come last, because links lead to some of them.
        known = dict(zip(self.photos["rejected/path"], self.photos["rejected/reason"], strict=True)) | dict(copies_of(self.photos))
        known |= {path: row for row, path in enumerate(self.photos["path"])}
        found = {os.path.realpath(path): what for path, what in known.items()}.get(os.path.realpath(photo))
        if found is None and os.path.isfile(photo):
            return self._with_content(photo)
        ends = [what for path, what in known.items() if path.endswith(os.sep + str(photo))] if found is None else [found]
        rows, reasons = {what for what in ends if isinstance(what, int)}, [what for what in ends if isinstance(what, str)]
        if len(rows) == 1:
            return rows.pop()
        if rows:
            raise UnknownPhoto(f"{len(rows)} photos of the collection have this name")
        if reasons:
            raise UnknownPhoto(f"is not in the collection: {reasons[0] if len(reasons) == 1 else list_kinds(reasons)}")
        raise UnknownPhoto("no such file, and no photo of that name")

    def _with_content(self, photo):
        with open(photo, "rb") as file:
            content = np.frombuffer(hashlib.file_digest(file, "sha256").digest(), np.uint8)
        rows = np.flatnonzero((self.photos["sha256"] == content).all(1))
        if not len(rows):
            raise UnknownPhoto("is not in the collection; `python -m bow2cnn search` shows what it is like")
        return int(rows[0])
