"""The database of a benchmark with all photos of a run's collection as distractors, for scripts that rank it."""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import shards_of
from bow2cnn.evaluation.scores import score_rankings
from bow2cnn.evaluation.systems import benchmark_task
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import Engine
from bow2cnn.index.forward import read_words
from bow2cnn.index.invert import index_arrays
from bow2cnn.index.query_words import quantise_query
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos
from bow2cnn.search.searcher import DEFAULTS


class Pool:
    """Photos with numbers: first the benchmark's database in its order, then the collection by row.

    Args:
        results: folder of a run up to the stage `retrieval`.
        folder: folder with the photos and gnd.json of the benchmark.
        benchmark: name of the benchmark in the run.
    """

    def __init__(self, results, folder, benchmark):
        self._results, self._folder = results, results / "benchmarks" / benchmark
        self.task = benchmark_task(benchmark, folder / "gnd.json", folder / "photos", self._folder / "collection.h5")
        self.own = FeatureStore([self._folder / "features.h5"])
        self.distractors = FeatureStore(shards_of(results, "features"))
        print(f"database: {len(self.task.database)} photos and {len(self.distractors)} distractors, {len(self.task.query)} queries")

    def paths(self):
        """Paths of the queries, and of all photos in the order of their numbers."""
        own = artefact.read(self._folder / "collection.h5", "collection", ["path"])["path"]
        others = artefact.read(self._results / "collection/collection.h5", "collection", ["path"])["path"]
        return [own[row] for row in self.task.query], [*(own[row] for row in self.task.database), *others]

    def maps(self, rankings):
        """mAP by protocol as text, of one ranking per query (numbers of the pool, best first)."""
        count = len(self.task.database)
        # Rows of the benchmark's photos; what lies beyond are distractors.
        rows = [np.where(found < count, self.task.database[found % count], len(self.own) + found) for found in rankings]
        scores = {protocol: np.nanmean(score_rankings(rows, truth)["mAP"]) for protocol, truth in self.task.truth.items()}
        return ", ".join(f"{protocol} {score:.2f}" for protocol, score in scores.items())

    def engine(self):
        """`Engine` of the pool, and a function that makes `QuantisedFeatures` from a query's features. Watermarks stay in, as in the other
        software.
        """
        vocabulary = self._results / "vocabulary/vocabulary.h5"
        photos = BenchmarkPhotos(vocabulary, self._folder / "collection.h5", self._folder / "features.h5", 1)
        others = read_words(shards_of(self._results, "words"))
        sizes = artefact.read(self._results / "collection/collection.h5", "collection", ["width", "height"])
        first = photos.forward(self.task.database)
        forward = {name: np.concatenate([first[name], others[name]]) for name in first if name != "offset"}
        forward["offset"] = artefact.offsets(np.concatenate([np.diff(first["offset"]), np.diff(others["offset"])]))
        size = np.concatenate([photos.size[self.task.database], np.stack(list(sizes.values()), 1)])

        def words(keypoint, descriptor):
            return quantise_query(keypoint, descriptor, (0, 0), photos.vocabulary, DEFAULTS["soft_words"])

        return Engine(index_arrays(forward, size, len(photos.vocabulary)), DEFAULTS["max_hamming"]), words
