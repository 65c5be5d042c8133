"""The photos of a benchmark in words of the collection's vocabulary."""

from collections.abc import Iterable
from pathlib import Path

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
    """The words of a benchmark's photos, by row of the benchmark's collection.

    Args:
        vocabulary: path of the vocabulary, which was trained on the collection of the run.
        collection, features: paths of the artefacts of the benchmark.
        threads: library threads.

    Attributes:
        vocabulary: the vocabulary.
        size: (width, height) of the photos, int [n, 2], pixels.

    Raises:
        ArtefactError: the features are of other photos, or an artefact cannot be read.
    """

    def __init__(self, vocabulary: str | Path, collection: str | Path, features: str | Path, threads: int) -> None:
        check_photos(collection, features)
        photos = artefact.read(collection, "collection", ["width", "height"])
        self.vocabulary = Vocabulary.load(vocabulary, threads)
        self.size = np.stack([photos["width"], photos["height"]], 1)
        self._words = quantise_photos(features, self.vocabulary)
        self._features = FeatureStore([features], capacity=1)

    def words(self, row: int) -> QuantisedFeatures:
        """The words of a photo, one per feature."""
        rows = slice(*self._words["offset"][row : row + 2])
        word, signature, keypoint, feature = (self._words[name][rows] for name in _ARRAYS)
        return QuantisedFeatures(word, signature, keypoint, feature, tuple(self.size[row]))

    def query(self, row: int, soft_words: int) -> QuantisedFeatures:
        """The words of a photo as a query, with `soft_words` words per feature."""
        keypoint, descriptor = self._features[row]
        return quantise_query(keypoint, descriptor, tuple(self.size[row]), self.vocabulary, soft_words)

    def forward(self, rows: Iterable[int]) -> dict[str, np.ndarray]:
        """The forward file of some photos; see `bow2cnn.index.forward`."""
        parts = [self.words(row) for row in rows]
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return {"offset": artefact.offsets([len(part) for part in parts]), **arrays}
