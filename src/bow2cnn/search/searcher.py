"""A run as a search engine: its index, asked with any photo. No network takes part."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.config.model import Retrieval
from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.features.detector import Detector
from bow2cnn.index.engine import Engine
from bow2cnn.retrieval.calibration import read_min_inliers
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, search
from bow2cnn.search.query import read_query
from bow2cnn.vocabulary.vocabulary import Vocabulary

# The config's defaults, for what no artefact of the run records. (0 inliers: as many as the run was calibrated to.)
DEFAULTS = Retrieval().model_dump()
_VERIFICATION = "index/verification.h5"
# Which artefacts record what a run's retrieval goes by. The index does not: it is the same whatever the shortlist.
_RECORDS = {
    "max_hamming": ("index/watermarks.h5", "watermarks"),
    "shortlist": (_VERIFICATION, "verification"),
    "soft_words": (_VERIFICATION, "verification"),
    "max_expansion": ("retrieval/*.h5", "ranking"),
    "expansion_inliers": ("retrieval/*.h5", "ranking"),
}


class Hit(NamedTuple):
    """A photo of a ranking: its row in the collection, the score that orders it, its inliers, and whether those are enough."""

    photo: int
    score: float
    inliers: int
    verified: bool


class Answer(NamedTuple):
    """The first `hits` of a ranking; how many photos of the whole ranking are verified, and of how many geometry was looked at."""

    hits: list
    verified: int
    checked: int


class Match(NamedTuple):
    """What a query and a photo have in common.

    `query`, `photo`: places of the inliers, float32 [k, 2] each, in pixels of the one and the other; `transform`: query to photo,
    affine, float64 [2, 3].
    """

    query: np.ndarray
    photo: np.ndarray
    transform: np.ndarray


class Searcher:
    """The index of a run with all that a query has to go through to be compared with it.

    Args:
        results: the run's folder.
        settings: of `retrieval` in the config, where they shall differ from the run's.

    Attributes:
        settings: dict with the keys of `DEFAULTS`: those given, else those that the run's artefacts record, else the config's defaults.
        paths, names: where every photo of the collection lies, and its name inside its folder; lists.
        size: (width, height) of every photo, int32 [n, 2].

    Raises:
        ArtefactError: a file of the run is missing, damaged, of another version, or does not belong to the others.
    """

    def __init__(self, results, **settings):
        results = Path(results)
        index, vocabulary = results / "index/index.h5", results / "vocabulary/vocabulary.h5"
        self.settings = {**DEFAULTS, **_recorded(results), **settings}
        self._engine = Engine.load(index, self.settings["max_hamming"])
        check_photos(results / "collection/collection.h5", index)
        self._read_collection(results / "collection/collection.h5")
        _check_vocabulary(index, vocabulary)
        self._vocabulary = Vocabulary.load(vocabulary)
        with artefact.Reader(results / "features/shard-000.h5", "features") as reader:
            self._detector = Detector(*(reader.params[name] for name in Detector._fields))
        self.settings["min_inliers"] = self.settings["min_inliers"] or read_min_inliers(results / _VERIFICATION).soft

    def __len__(self):
        return len(self._engine)

    def query(self, path, region=None):
        """The `Query` that a photo, or a region of it, is to this index; see `read_query`."""
        return read_query(path, region, self._vocabulary, self.settings["soft_words"], self._detector, self._max_pixels)

    def search(self, query, count, expand=False):
        """The `Answer` to a query with its first `count` photos, verified by geometry; with `expand` after query expansion."""
        names = ("shortlist", "max_expansion", "expansion_inliers")
        settings = {name: self.settings[name] for name in names} | ({} if expand else {"max_expansion": 0}) | {"min_inliers": MIN_EVIDENCE}
        ranking = search(self._engine, query.words, **settings)["sv+qe"]
        enough = ranking.inliers >= self.settings["min_inliers"]
        columns = (ranking.photo, ranking.score, ranking.inliers, enough)
        hits = [Hit(*row) for row in zip(*(column[:count].tolist() for column in columns), strict=True)]
        return Answer(hits, int(np.count_nonzero(enough)), min(len(ranking.photo), self.settings["shortlist"]))

    def match(self, query, photo):
        """The `Match` of the query itself, never expanded, with a photo of the collection."""
        transform, rows = self._engine.verify(query.words, photo)
        other = self._engine.words(photo)
        return Match(query.words.keypoint[rows[:, 0], :2], other.keypoint[rows[:, 1], :2], transform)

    def _read_collection(self, path):
        with artefact.Reader(path, "collection") as reader:
            self.paths, self.names = reader["path"], reader["name"]
            self.size = np.stack([reader["width"], reader["height"]], 1)
            self._max_pixels = reader.params["max_pixels"]


def _recorded(results):
    """The settings that the artefacts of a run record, as far as its stages have been run."""
    found = {}
    for name, (pattern, kind) in _RECORDS.items():
        for path in sorted(results.glob(pattern))[:1]:
            with artefact.Reader(path, kind) as reader:
                if name in reader.params:
                    found[name] = reader.params[name]
    return found


def _check_vocabulary(index, vocabulary):
    """Words of another vocabulary would be found in the index, and mean nothing there."""
    with artefact.Reader(vocabulary, "vocabulary") as ours, artefact.Reader(index, "index") as theirs:
        words = ours.shape("threshold")[0] == theirs.shape("idf")[0]
        if not words or theirs.params.get("vocabulary", "") not in ("", ours.params.get("lineage", "")):
            raise artefact.ArtefactError(f"{index}: is of other words than {vocabulary}; run the stage `index` again")
