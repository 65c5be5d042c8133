"""The database of a benchmark with all photos of a run's collection as distractors, for scripts that rank it."""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import Engine
from bow2cnn.index.forward import read_words
from bow2cnn.index.invert import index_arrays
from bow2cnn.index.query_words import quantise_query
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS


class Pool:
    """Photos with numbers: first the benchmark's database in its order, then the collection by row.

    Args:
        results: folder of a run up to the stage `retrieval`.
        benchmark: its name in the run.

    Attributes:
        truth: of the benchmark.
        own: features of the benchmark's photos.
        distractors: features of the collection.
    """

    def __init__(self, results, benchmark):
        self._run, self._benchmark = Run.open(results), benchmark
        self.truth = self._run.truth(benchmark)
        self.own = FeatureStore([self._run.path("benchmark_features", benchmark)])
        self.distractors = FeatureStore(self._run.shards("features"))
        print(f"database: {len(self.truth.database)} photos and {len(self.distractors)} distractors, {len(self.truth.query)} queries")

    def paths(self):
        """Paths of the queries, and of all photos in the order of their numbers."""
        own, others = self._run.arrays("benchmark_photos", self._benchmark)["path"], self._run.photos["path"]
        return [own[row] for row in self.truth.query], [*(own[row] for row in self.truth.database), *others]

    def maps(self, rankings):
        """mAP by protocol as text.

        Args:
            rankings: per query the numbers of the ranked photos, best first.
        """
        count = len(self.truth.database)
        # Rows of the benchmark's photos; distractors have higher numbers.
        rows = [np.where(found < count, self.truth.database[found % count], len(self.own) + found) for found in rankings]
        scores = {protocol: np.nanmean(score_rankings(rows, answers)["mAP"]) for protocol, answers in self.truth.protocols.items()}
        return ", ".join(f"{protocol} {score:.2f}" for protocol, score in scores.items())

    def engine(self):
        """The `Engine`, and a function that quantises the features of a query. Watermarks are not masked, as in the compared programs."""
        run, own = self._run, (self._run.path(name, self._benchmark) for name in ("benchmark_photos", "benchmark_features"))
        photos = BenchmarkPhotos(run.path("vocabulary"), *own, 1)
        others = read_words(run.shards("words"))
        first = photos.forward(self.truth.database)
        forward = {name: np.concatenate([first[name], others[name]]) for name in first if name != "offset"}
        forward["offset"] = artefact.offsets(np.concatenate([np.diff(first["offset"]), np.diff(others["offset"])]))
        size = np.concatenate([photos.size[self.truth.database], np.stack([run.photos["width"], run.photos["height"]], 1)])

        def words(keypoint, descriptor):
            return quantise_query(keypoint, descriptor, (0, 0), photos.vocabulary, DEFAULTS["soft_words"])

        return Engine(index_arrays(forward, size, len(photos.vocabulary)), DEFAULTS["max_hamming"]), words
