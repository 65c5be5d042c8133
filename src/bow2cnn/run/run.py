"""What a run has made: where each artefact lies, and its arrays, read when they are asked for."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from bow2cnn.benchmarks.truth import Truth, read_truth
from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.evaluation.results import read_gains, read_table
from bow2cnn.pairs.exclusions import NegativeRule, read_negatives
from bow2cnn.pairs.positives import Positives, read_positives
from bow2cnn.run.arrays import Arrays
from bow2cnn.run.find_photo import find_photo


class _Place(NamedTuple):
    """Attributes:
    stage: target of the workflow that makes the files.
    path: below the folder of the run; `{}` stands for a name, `{:03d}` for the number of a shard.
    kind: of the artefact; empty for other files.
    of_photos: whether the rows are those of the run's collection.
    """

    stage: str
    path: str
    kind: str
    of_photos: bool = False


# Every artefact of a run that others read, by name.
PLACES = {
    "collection": _Place("collection", "collection/collection.h5", "collection"),
    "features": _Place("features", "features/shard-{:03d}.h5", "features", True),
    "vocabulary": _Place("vocabulary", "vocabulary/vocabulary.h5", "vocabulary"),
    "words": _Place("index", "words/shard-{:03d}.h5", "words", True),
    "watermarks": _Place("index", "index/watermarks.h5", "watermarks", True),
    "index": _Place("index", "index/index.h5", "index", True),
    "verification": _Place("index", "index/verification.h5", "verification", True),
    "seeds": _Place("clustering", "clustering/seeds.h5", "seeds", True),
    "graph": _Place("clustering", "clustering/graph.h5", "graph", True),
    "clusters": _Place("clustering", "clustering/clusters.h5", "clusters", True),
    "models": _Place("reconstruction", "reconstruction/models.h5", "models", True),
    "colmap": _Place("reconstruction", "reconstruction/colmap-{}", ""),
    "split": _Place("split", "split/split.h5", "split", True),
    # By source of pairs.
    "positives": _Place("pairs", "pairs/{}/positives.h5", "positives", True),
    "negatives": _Place("pairs", "pairs/{}/negatives.h5", "negatives", True),
    "validation": _Place("pairs", "pairs/{}/validation.h5", "truth", True),
    # By experiment.
    "history": _Place("training", "experiments/{}/history.h5", "history"),
    # By benchmark.
    "benchmark_photos": _Place("collection", "benchmarks/{}/collection.h5", "collection"),
    "benchmark_features": _Place("features", "benchmarks/{}/features.h5", "features"),
    "truth": _Place("collection", "benchmarks/{}/truth.h5", "truth"),
    "teacher_ranking": _Place("retrieval", "retrieval/{}.h5", "ranking"),
    # By benchmark or validation, as the table names them.
    "rankings": _Place("evaluation", "evaluation/rankings-{}.h5", "ranking"),
    "table": _Place("evaluation", "evaluation.csv", ""),
    "gains": _Place("evaluation", "evaluation/gains.json", ""),
}
_SHARD, _NAME = "{:03d}", "{}"


class Run:
    """The one reader of a run, made from its folder (`Run.open`), or from the paths that a rule of the workflow names.

    `"graph" in run` says whether the run has an artefact of `PLACES`. To ask for one that it does not have is an error that names the
    stage. Artefacts whose rows are photos are compared with the collection when they are first asked for.

    Args:
        files: name of `PLACES` to a path; to a list of paths, one per shard; or to a dict from a source of pairs, a benchmark or an
            experiment to a path. If a name is missing, None or empty, the run does not have that artefact.
        results: the run's folder, None if it is not known.
    """

    def __init__(self, files: Mapping[str, Any], results: str | Path | None = None) -> None:
        self._files = {name: files[name] for name in PLACES if files.get(name)}
        self.results = None if results is None else Path(results)
        self._kept: dict[Any, Any] = {}

    @classmethod
    def open(cls, results: str | Path) -> "Run":
        """The run in a folder, as far as its stages have been run."""
        results, files = Path(results), {}
        for name, place in PLACES.items():
            if _NAME in place.path:
                files[name] = _find_named(results, place.path)
            elif _SHARD not in place.path and (results / place.path).exists():
                files[name] = results / place.path
        return cls(files, results)

    def __contains__(self, name: str) -> bool:
        """Whether the run has an artefact; of one with a file per shard, the first of them."""
        if name in self._files:
            return True
        return self.results is not None and _SHARD in PLACES[name].path and (self.results / PLACES[name].path.format(0)).exists()

    def names(self, name: str) -> list[str]:
        """The sources, benchmarks or experiments that have an artefact; none for an artefact that does not belong to one."""
        found = self._files.get(name)
        return list(found) if isinstance(found, Mapping) else []

    def path(self, name: str, of: str | None = None) -> Path:
        """Path of an artefact.

        Args:
            name: of `PLACES`.
            of: the source, benchmark or experiment, for artefacts that each of these has.

        Raises:
            ArtefactError: the run does not have it, or it is about other photos than the collection.
        """
        found = self._files.get(name)
        if of is not None:
            found = found and found.get(of)
        if not found:
            raise self.missing(name, of)
        self._compare(name, of, found)
        return Path(found)

    def shards(self, name: str) -> list[Path]:
        """Paths of an artefact that has a file per shard, in the order of the shards.

        Raises:
            ArtefactError: one is missing, or they are about other photos than the collection.
        """
        paths = self._files.get(name)
        if paths is None and self.results is not None:
            place = PLACES[name].path
            paths = [self.results / place.format(shard) for shard in range(self.photos.params["shards"])]
            if not all(path.exists() for path in paths):
                raise self.missing(name)
        if paths is None:
            raise self.missing(name)
        self._compare(name, None, paths)
        return [Path(path) for path in paths]

    def missing(self, name: str, of: str | None = None) -> artefact.ArtefactError:
        """The error for an artefact that the run does not have."""
        stage, path, *_ = PLACES[name]
        path = path.replace(_NAME, of or "*").replace(_SHARD, "*")
        return artefact.ArtefactError(f"{self.results / path if self.results else path}: no such file; run the stage `{stage}`")

    def arrays(self, name: str, of: str | None = None) -> Arrays:
        """The arrays of an artefact; arguments and errors as for `path`."""
        return self._once(("arrays", name, of), lambda: Arrays(self.path(name, of), PLACES[name].kind))

    @property
    def photos(self) -> Arrays:
        """The collection."""
        return self.arrays("collection")

    @property
    def watermarks(self) -> Arrays:
        return self.arrays("watermarks")

    @property
    def index(self) -> Arrays:
        return self.arrays("index")

    @property
    def seeds(self) -> Arrays:
        return self.arrays("seeds")

    @property
    def graph(self) -> Arrays:
        return self.arrays("graph")

    @property
    def clusters(self) -> Arrays:
        return self.arrays("clusters")

    @property
    def models(self) -> Arrays:
        return self.arrays("models")

    @property
    def split(self) -> Arrays:
        return self.arrays("split")

    @property
    def sources(self) -> list[str]:
        """Sources of the run's pairs."""
        return self.names("negatives")

    @property
    def experiments(self) -> list[str]:
        """Experiments that have been trained."""
        return self.names("history")

    @property
    def benchmarks(self) -> list[str]:
        """Benchmarks whose photos have been listed."""
        return self.names("benchmark_photos")

    def positives(self, source: str, unmatched: bool = False) -> Positives:
        """Queries and their pools, by a source of pairs; see `read_positives`."""
        return self._once(("positives", source, unmatched), lambda: read_positives(self.path("positives", source), unmatched))

    def negatives(self, source: str) -> NegativeRule:
        """Who may be a negative of whom, by a source of pairs."""
        return self._once(("negatives", source), lambda: read_negatives(self.path("negatives", source)))

    def validation(self, source: str) -> Truth:
        """The truth of validation by a source of pairs; its rows are those of the collection."""
        return read_truth(self.path("validation", source))

    def truth(self, benchmark: str) -> Truth:
        """The truth of a benchmark; its rows are those of `arrays("benchmark_photos", benchmark)`."""
        return read_truth(self.path("truth", benchmark))

    def history(self, experiment: str) -> Arrays:
        """How the training of an experiment went."""
        return self.arrays("history", experiment)

    @cached_property
    def gains(self) -> dict:
        """Gains of every experiment, see `read_gains`."""
        return read_gains(self.path("gains"))

    @cached_property
    def table(self) -> list[dict]:
        """Rows of the table, see `read_table`."""
        return read_table(self.path("table"), self.gains)

    def size(self, row: int) -> tuple[int, int]:
        """Width and height of a photo in pixels, upright."""
        return int(self.photos["width"][row]), int(self.photos["height"][row])

    def find(self, photo: str | Path) -> int:
        """Row of a photo that is named by its path or the end of it, or by a copy; see `find_photo`.

        Raises:
            UnknownPhoto: the collection does not have it.
        """
        return find_photo(self.photos, photo)

    def _compare(self, name, of, paths):
        """See to it that an artefact is about the photos of the collection."""
        if PLACES[name].of_photos:
            self._once(("compared", name, of), lambda: check_photos(self.path("collection"), paths))

    def _once(self, key, make: Callable):
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def _find_named(results, place):
    """The files of a place by the names that stand for `{}`, sorted."""
    before, after = place.split(_NAME)
    paths = sorted(results.glob(f"{before}*{after}"))
    return {str(path.relative_to(results)).removeprefix(before).removesuffix(after): path for path in paths}
