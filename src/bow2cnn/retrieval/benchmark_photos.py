"""The photos of a benchmark as words of the collection's vocabulary."""

import numpy as np

from bow2cnn import artefact
from bow2cnn.index.words import to_words
from bow2cnn.retrieval.engine import Words
from bow2cnn.vocabulary.vocabulary import Vocabulary


class BenchmarkPhotos:
    """Words of a benchmark's photos by row of its collection; `row` maps a file name to it."""

    def __init__(self, vocabulary, collection, features, threads):
        photos = artefact.read(collection, "collection", ["name", "width", "height"])
        arrays = artefact.read(features, "features", ["offset", "keypoint", "descriptor"])
        self.vocabulary = Vocabulary.load(vocabulary, threads)
        self.row = {name: row for row, name in enumerate(photos["name"])}
        self.size = np.stack([photos["width"], photos["height"]], 1)
        bounds = arrays["offset"]
        self._words = [
            to_words(arrays["descriptor"][a:b], arrays["keypoint"][a:b], self.vocabulary)
            for a, b in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    def words(self, row):
        arrays = self._words[row]
        return Words(arrays["word"], arrays["signature"], arrays["keypoint"], arrays["feature"], tuple(self.size[row]))

    def forward(self, rows):
        """A forward file of some rows."""
        parts = [self._words[row] for row in rows]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in ("word", "signature", "feature", "keypoint")}
        return {"offset": artefact.offsets([len(part["word"]) for part in parts]), **arrays}
