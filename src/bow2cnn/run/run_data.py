"""What the report knows of a run: the artefacts it shows, read once and only as far as they are shown."""

from functools import cached_property

import numpy as np

from bow2cnn.benchmarks.truth import read_truth
from bow2cnn.core import artefact
from bow2cnn.evaluation.results import read_gains, read_table
from bow2cnn.pairs.negatives import read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.run.left_out import lines_of, lines_of_features

_MODEL_ARRAYS = [
    "model", "photo_offset", "photo", "rotation", "translation", "point_offset", "point", "color", "cluster", "error",
    "rejected/cluster", "rejected/photos", "rejected/reason",
]  # fmt: skip
_HISTORY_ARRAYS = [
    "epoch", "loss", "validation_map", "chosen", "diverged", "tried/share", "tried/validation_map", "tried/chosen",
    "negatives/query", "negatives/positive", "negatives/photo", "negatives/similarity",
]  # fmt: skip


class RunData:
    """The artefacts of a run, each read when a section first asks for it; None is what a run that began midway does not have.

    Attributes:
        histories, rankings: name to path of the experiments' histories and of the rankings.
        benchmarks: name to `collection` and `truth`, the paths of its photos' collection and of its truth.
        pairs: source of pairs to the paths of its `positives`, its `negatives` and its `validation`; sources: experiment to its source.
        validations: name of a validation in the table to the source that it is of.
        pairings: experiment to the system that it was fine-tuned from.
        config: nested dict, may be empty.
    """

    def __init__(self, paths, words, pairs, sources, validations, histories, benchmarks, rankings, pairings, config, features=()):
        self._paths, self._words, self._features, self._pairs = paths, words, features, pairs
        self.sources, self.validations = sources, validations
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
    def watermarks(self):
        return self._read("watermarks", ["offset", "masked", "evidence/photos"])

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
    def positives(self):
        """`Positives` by source."""
        return {source: read_positives(files["positives"]) for source, files in self._pairs.items()}

    @cached_property
    def rules(self):
        """`NegativeRule` by source."""
        return {source: read_negatives(files["negatives"]) for source, files in self._pairs.items()}

    def truth(self, name):
        """The `Truth` of a benchmark or of a validation, and `path` and `name` of the photos whose rows it has."""
        if name in self.validations:
            return read_truth(self._pairs[self.validations[name]]["validation"]), self.photos
        files = self.benchmarks[name]
        return read_truth(files["truth"]), artefact.read(files["collection"], "collection", ["path", "name"])

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
        given |= {"models": self._paths["models"]} if self._paths["models"] is not None else {}
        one = len(self._pairs) == 1
        given |= {"pairs" if one else f"pairs of {source}": files["positives"] for source, files in self._pairs.items()}
        return [*lines_of_features(self._features), *(line for what, path in given.items() for line in lines_of(what, path))]

    def masked_points(self, photo):
        """Where the masked features of a photo lie, float32 [k, 2], in the order of its words."""
        start, stop = self.watermarks["offset"][photo : photo + 2].tolist()
        masked = np.flatnonzero(self.watermarks["masked"][start:stop])
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
