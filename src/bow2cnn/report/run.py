"""What the report knows of a run: the artefacts it shows, read once and only as far as they are shown."""

from functools import cached_property

import numpy as np

from bow2cnn import artefact
from bow2cnn.evaluation.results import read_gains, read_table
from bow2cnn.evaluation.validation import read_validation
from bow2cnn.left_out import lines_of, lines_of_features

_MODEL_ARRAYS = [
    "model", "photo_offset", "photo", "rotation", "translation", "point_offset", "point", "color", "cluster", "error",
    "rejected/cluster", "rejected/photos", "rejected/reason",
]  # fmt: skip
_PAIR_ARRAYS = ["query", "side", "group", "cluster", "pool_offset", "pool/photo", "pool/overlap", "pool/shared"]
_HISTORY_ARRAYS = [
    "epoch", "loss", "validation_map", "chosen", "diverged", "tried/share", "tried/validation_map", "tried/chosen",
    "negatives/query", "negatives/positive", "negatives/photo", "negatives/similarity",
]  # fmt: skip


class Run:
    """The artefacts of a run, each read when a section first asks for it; None is what a run that began midway does not have.

    Attributes:
        histories, rankings: name to path of the experiments' histories and of the rankings.
        benchmarks: name to `collection` and `gnd`, the paths of its photos' collection and of its ground truth.
        pairings: experiment to the system that it was fine-tuned from.
        config: nested dict, may be empty.
    """

    def __init__(self, paths, words, histories, benchmarks, rankings, pairings, config, features=()):
        self._paths, self._words, self._features = paths, words, features
        self.histories, self.benchmarks, self.rankings = histories, benchmarks, rankings
        self.pairings, self.config = pairings, config

    @cached_property
    def photos(self):
        return self._read("collection", ["path", "name", "rejected/path", "rejected/reason"])

    @cached_property
    def size(self):
        """Width and height of every photo, int32 [n, 2]."""
        return np.stack(list(self._read("collection", ["width", "height"]).values()), 1)

    @cached_property
    def marks(self):
        return self._read("marks", ["offset", "masked", "evidence/photos"])

    @cached_property
    def graph(self):
        if self._paths["graph"] is None:
            return None
        with artefact.Reader(self._paths["graph"], "graph") as reader:
            arrays = {name: reader[name] for name in ("pair", "inliers")}
            return {**arrays, "refused": reader.shape("refused")[0] if "refused" in reader else None}

    @cached_property
    def clusters(self):
        return self._read("clusters", ["offset", "photo", "cut/pair", "cut/inliers", "cut/parts", "cut/reason"])

    @cached_property
    def models(self):
        return self._read("models", _MODEL_ARRAYS)

    @cached_property
    def split(self):
        return self._read("split", ["side", "reason"])

    @cached_property
    def pairs(self):
        return self._read("pairs", _PAIR_ARRAYS)

    @cached_property
    def validation(self):
        return read_validation(self._paths["pairs"])

    @cached_property
    def history(self):
        """Arrays of every experiment's history, by name; `chosen` is an int."""
        found = {name: artefact.read(path, "history", _HISTORY_ARRAYS) for name, path in self.histories.items()}
        return {name: {**arrays, "chosen": int(arrays["chosen"])} for name, arrays in found.items()}

    @cached_property
    def table(self):
        """Rows of evaluation.csv, see `read_table`."""
        return read_table(self._paths["table"], self.gains)

    @cached_property
    def gains(self):
        return read_gains(self._paths["gains"])

    @cached_property
    def left_out(self):
        """Lines on photos that give no features, and on what was not taken of benchmarks' distractors, of models and of a database."""
        given = {f"benchmark {name}": files["collection"] for name, files in self.benchmarks.items()}
        given |= {kind: self._paths[kind] for kind in ("models", "pairs") if self._paths[kind] is not None}
        return [*lines_of_features(self._features), *(line for what, path in given.items() for line in lines_of(what, path))]

    def masked_points(self, photo):
        """Where the masked features of a photo lie, float32 [k, 2], in the order of its words."""
        start, stop = self.marks["offset"][photo : photo + 2].tolist()
        masked = np.flatnonzero(self.marks["masked"][start:stop])
        for path in self._words:
            with artefact.Reader(path, "words") as reader:
                rows = reader.shape("keypoint")[0]
                if start < rows:
                    return reader.part("keypoint", start, stop)[masked, :2]
                start, stop = start - rows, stop - rows
        return np.zeros((0, 2), np.float32)

    def _read(self, kind, arrays):
        path = self._paths[kind]
        return None if path is None else artefact.read(path, kind, arrays)
