"""The index of a run, asked with any photo. No network takes part."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from bow2cnn.config.model import Retrieval
from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.features.detector import Detector
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import verify_pair
from bow2cnn.index.engine import TOLERANCE, Engine
from bow2cnn.index.photo_features import photo_features
from bow2cnn.retrieval.calibrate_inliers import read_min_inliers
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, count_ranking_inliers, search
from bow2cnn.run.run import Run
from bow2cnn.search.query import Query, read_query
from bow2cnn.vocabulary.vocabulary import Vocabulary

# The config's defaults, for settings that no artefact of the run records. (0 inliers: the number that the run was calibrated to.)
DEFAULTS = Retrieval().model_dump()
# Which artefacts record the settings of a run's retrieval. The index records none: it is the same whatever the shortlist.
_RECORDS = {
    "max_hamming": "watermarks",
    "shortlist": "verification",
    "soft_words": "verification",
    "max_expansion": "teacher_ranking",
    "expansion_inliers": "teacher_ranking",
}
_MIN_AGREEING = 0.5  # share of the inliers; the affine transform of fewer shows nothing of a scene that is deep


class Hit(NamedTuple):
    """A photo of a ranking.

    Attributes:
        photo: row in the collection.
        score: what orders the ranking.
        inliers: places of the query and the photo that agree in one geometry (see `bow2cnn.geometry.pair`); 0 where their words agree in
            none, so that they were not compared.
        verified: whether the inliers are enough.
    """

    photo: int
    score: float
    inliers: int
    verified: bool


class Answer(NamedTuple):
    """The answer to a query.

    Attributes:
        hits: the first photos of the ranking, verified ones before all others.
        verified: number of verified photos in the whole ranking.
        checked: number of photos that were compared with the query by geometry.
    """

    hits: list[Hit]
    verified: int
    checked: int


class Match(NamedTuple):
    """What a query and a photo have in common.

    Attributes:
        query: where the inliers are in the query, float32 [k, 2], in its pixels.
        photo: where they are in the photo, float32 [k, 2], in its pixels.
        transform: an affine transform from the query to the photo, float64 [2, 3]; None if less than half of the inliers agree with one.
    """

    query: np.ndarray
    photo: np.ndarray
    transform: np.ndarray | None


class Searcher:
    """The index of a run, and all that turns a photo into a query of it.

    Args:
        run: with the stage `index` done.
        settings: keys of `retrieval` in the config that are to differ from the run's.

    Attributes:
        run: as given.
        settings: dict with the keys of `DEFAULTS`: the given values, else those that the run's artefacts record, else the defaults.

    Raises:
        ArtefactError: a file of the run is missing, damaged, of another version, or does not belong to the others.
    """

    def __init__(self, run: Run, **settings: Any) -> None:
        self.run = run
        self.settings = {**DEFAULTS, **_recorded(run), **settings}
        self._engine = Engine.load(run.path("index"), self.settings["max_hamming"])
        _check_vocabulary(run)
        self._vocabulary = Vocabulary.load(run.path("vocabulary"))
        with artefact.Reader(run.shards("features")[0], "features") as reader:
            self._detector = Detector(*(reader.params[name] for name in Detector._fields))
        check_photos(run.path("index"), run.shards("features"))
        self._store = FeatureStore(run.shards("features"))
        self.settings["min_inliers"] = self.settings["min_inliers"] or read_min_inliers(run.path("verification")).features

    def __len__(self) -> int:
        """Number of photos in the index."""
        return len(self._engine)

    def query(self, path: str | Path, region: tuple[float, float, float, float] | None = None) -> Query:
        """Make a query of a photo, or of a region of it; see `read_query` for arguments and errors."""
        max_pixels = self.run.photos.params["max_pixels"]
        return read_query(path, region, self._vocabulary, self.settings["soft_words"], self._detector, max_pixels)

    def search(self, query: Query, count: int, expand: bool = False) -> Answer:
        """Rank the collection for a query: the first `count` photos, verified by geometry; with `expand` after query expansion.

        Photos of the shortlist whose words agree with the query in some geometry are compared with it by all features. The query itself has
        to match them, also after expansion.
        """
        names = ("shortlist", "max_expansion", "expansion_inliers")
        settings = {name: self.settings[name] for name in names} | ({} if expand else {"max_expansion": 0}) | {"min_inliers": MIN_EVIDENCE}
        ranking = search(self._engine, query.words, **settings)["sv+qe"]
        inliers = count_ranking_inliers(self._engine, self._store, query.features, ranking, len(os.sched_getaffinity(0)), query.part)
        verified = inliers >= self.settings["min_inliers"]
        order = np.argsort(~verified, kind="stable")[:count]
        hits = [Hit(*row) for row in zip(*(column[order].tolist() for column in (*ranking[:2], inliers, verified)), strict=True)]
        return Answer(hits, int(np.count_nonzero(verified)), min(len(ranking.photo), self.settings["shortlist"]))

    def match(self, query: Query, photo: int) -> Match:
        """Match the query with a photo of the collection by its row."""
        pair = verify_pair(query.features, photo_features(self._engine, self._store, photo), 1, query.part)
        rows = np.zeros((0, 2), np.int32) if pair is None else pair.match
        here, there = query.features.keypoint[rows[:, 0], :2], self._store.keypoints(photo)[rows[:, 1], :2]
        return Match(here, there, _affine(here, there, TOLERANCE * max(self.run.size(photo))))


def _affine(here, there, tolerance):
    """The affine transform that most matches agree with up to a tolerance (pixels), float64 [2, 3]; None if less than half of them do."""
    if len(here) < 3:
        return None
    transform, agreeing = cv2.estimateAffine2D(here, there, ransacReprojThreshold=tolerance)
    return transform if agreeing.mean() >= _MIN_AGREEING else None


def _recorded(run):
    """The settings that the artefacts of a run record, as far as its stages have been run."""
    found = {}
    for name, kind in _RECORDS.items():
        if kind in run:
            params = run.arrays(kind, next(iter(run.names(kind)), None)).params
            if name in params:
                found[name] = params[name]
    return found


def _check_vocabulary(run):
    """Words of another vocabulary would be found in the index, and mean nothing there."""
    vocabulary, index = run.arrays("vocabulary"), run.index
    same = vocabulary.shape("threshold")[0] == index.shape("idf")[0]
    if not same or index.params.get("vocabulary", "") not in ("", vocabulary.params.get("lineage", "")):
        raise artefact.ArtefactError(f"{index.path}: is of other words than {vocabulary.path}; run the stage `index` again")
