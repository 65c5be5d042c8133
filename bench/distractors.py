"""The database of a benchmark with photos of a run's collection as distractors, for scripts that rank it."""

from functools import cached_property

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import Engine
from bow2cnn.index.forward import ForwardIndex, drop_features, read_words
from bow2cnn.index.invert import index_arrays
from bow2cnn.index.query_words import quantise_query
from bow2cnn.index.region import in_region
from bow2cnn.index.watermarks import watermark_features
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos
from bow2cnn.retrieval.rank_benchmark import LISTS
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, search
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS


class Pool:
    """Photos with numbers: first the benchmark's database in its order, then the distractors, which are photos of the collection.

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

    def __str__(self):
        return f"database: {len(self.truth.database)} photos and {len(self.distractors)} distractors, {len(self.truth.query)} queries"

    def paths(self):
        """Paths of the queries, and of all photos in the order of their numbers."""
        own, others = self._run.arrays("benchmark_photos", self._benchmark)["path"], self._run.photos["path"]
        return [own[row] for row in self.truth.query], [*(own[row] for row in self.truth.database), *others]

    def scores(self, rankings):
        """mAP by protocol.

        Args:
            rankings: per query the numbers of the ranked photos, best first.
        """
        count = len(self.truth.database)
        # Rows of the benchmark's photos; distractors have higher numbers.
        rows = [np.where(found < count, self.truth.database[found % count], len(self.own) + found) for found in rankings]
        return {protocol: float(np.nanmean(score_rankings(rows, answers)["mAP"])) for protocol, answers in self.truth.protocols.items()}

    def maps(self, rankings):
        """mAP by protocol as text; see `scores`."""
        return ", ".join(f"{protocol} {score:.2f}" for protocol, score in self.scores(rankings).items())

    def engine(self):
        """The `Engine` of the database and all photos of the collection, and a function that quantises the features of a query. Watermarks
        are not masked, as in the compared programs.
        """
        photos, database = self._photos, self.truth.database
        arrays = self._index(photos.forward(database), read_words(self._run.shards("words")), np.arange(len(self.distractors)))

        def words(keypoint, descriptor):
            return quantise_query(keypoint, descriptor, (0, 0), photos.vocabulary, DEFAULTS["soft_words"])

        return Engine(arrays, DEFAULTS["max_hamming"]), words

    def teacher(self, rows, region=None):
        """Rankings by the teacher with the settings of the run, and without the features of watermarks.

        Args:
            rows: photos of the collection that are distractors, int [r].
            region: of every query, see `bow2cnn.benchmarks.truth.Truth`, float64 [q, 4]; None for those of the benchmark.

        Returns:
            by the names in `LISTS`, per query the numbers of the ranked photos, best first.
        """
        run, photos = self._run, self._photos
        truth = self.truth if region is None else self.truth._replace(region=region)
        params = run.arrays("teacher_ranking", self._benchmark).params
        settings = {name: params[name] for name in ("shortlist", "max_expansion", "expansion_inliers")}
        settings["min_inliers"] = params["min_inliers"] or MIN_EVIDENCE
        engine = Engine(self._index(self._unmarked, self._unmarked_distractors, rows), run.watermarks.params["max_hamming"])
        found = {name: [] for name in LISTS}
        for number, row in enumerate(truth.query):
            words = in_region(photos.query(row, params["soft_words"]), truth.region_of(number))
            for name, ranking in search(engine, words, **settings).items():
                found[name].append(ranking.photo)
        return found

    @cached_property
    def _photos(self):
        names = ("benchmark_photos", "benchmark_features")
        return BenchmarkPhotos(self._run.path("vocabulary"), *(self._run.path(name, self._benchmark) for name in names), 1)

    @cached_property
    def _unmarked(self):
        """The forward file of the database without the features of watermarks, as the stage `retrieval` makes it."""
        forward, size = self._photos.forward(self.truth.database), self._photos.size[self.truth.database]
        params = self._run.watermarks.params
        masked = watermark_features(ForwardIndex(forward), size, params["max_hamming"], params["min_photos"], params["seed"])[1]
        return drop_features(forward, ~masked)

    @cached_property
    def _unmarked_distractors(self):
        """The forward file of the collection without the features of watermarks."""
        return drop_features(read_words(self._run.shards("words")), ~self._run.watermarks["masked"])

    def _index(self, first, others, rows):
        """The arrays of an index of the database and of some photos of the collection, from the forward files of both."""
        lengths = np.diff(others["offset"])
        wanted = np.zeros(len(lengths), bool)
        wanted[rows] = True
        others = drop_features(others, np.repeat(wanted, lengths))
        forward = {name: np.concatenate([first[name], others[name]]) for name in first if name != "offset"}
        forward["offset"] = artefact.offsets(np.concatenate([np.diff(first["offset"]), lengths[wanted]]))
        size = np.stack([self._run.photos["width"], self._run.photos["height"]], 1)[wanted]
        size = np.concatenate([self._photos.size[self.truth.database], size])
        return index_arrays(forward, size, len(self._photos.vocabulary))
