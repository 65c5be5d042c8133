"""The words of a query photo."""

import numpy as np

from bow2cnn.index.engine import QuantisedFeatures
from bow2cnn.index.words import quantise_features
from bow2cnn.vocabulary.vocabulary import Vocabulary


def quantise_query(
    keypoint: np.ndarray, descriptor: np.ndarray, size: tuple[int, int], vocabulary: Vocabulary, soft_words: int
) -> QuantisedFeatures:
    """Quantise the features of a photo that is not in the index, with several words per feature.

    Args:
        keypoint, descriptor: the features, float32 [N, 6] and uint8 [N, 128].
        size: (width, height) of the photo, pixels.
        vocabulary: the vocabulary of the index.
        soft_words: number of words per feature.
    """
    found = quantise_features(descriptor, keypoint, np.array([0, len(keypoint)]), vocabulary, soft_words)
    return QuantisedFeatures(found["word"], found["signature"], found["keypoint"], found["feature"], size, found["nearest"])
