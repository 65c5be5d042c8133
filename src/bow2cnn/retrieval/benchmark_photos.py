"""The photos of a benchmark as words of the collection's vocabulary."""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import QuantisedFeatures
from bow2cnn.index.query_words import quantise_query
from bow2cnn.index.words import quantise_photos
from bow2cnn.vocabulary.vocabulary import Vocabulary

_ARRAYS = ("word", "signature", "keypoint", "feature")


class BenchmarkPhotos:
    """Words of a benchmark's photos by row of its collection.

    Args:
        vocabulary, collection, features: paths.
        threads: library threads.

    Attributes:
        vocabulary: `Vocabulary`.
        size: int [n, 2], width and height.
    """

    def __init__(self, vocabulary, collection, features, threads):
        check_photos(collection, features)
        photos = artefact.read(collection, "collection", ["width", "height"])
        self.vocabulary = Vocabulary.load(vocabulary, threads)
        self.size = np.stack([photos["width"], photos["height"]], 1)
        self._words = quantise_photos(features, self.vocabulary)
        self._features = FeatureStore([features], capacity=1)

    def words(self, row):
        """`QuantisedFeatures` of a photo."""
        rows = slice(*self._words["offset"][row : row + 2])
        return QuantisedFeatures(*(self._words[name][rows] for name in _ARRAYS), tuple(self.size[row]))

    def query(self, row, soft_words):
        """`QuantisedFeatures` of a photo that is asked with: each feature with so many words."""
        keypoint, descriptor = self._features[row]
        return quantise_query(keypoint, descriptor, tuple(self.size[row]), self.vocabulary, soft_words)

    def forward(self, rows):
        """A forward file of some rows."""
        parts = [self.words(row) for row in rows]
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return {"offset": artefact.offsets([len(part) for part in parts]), **arrays}
