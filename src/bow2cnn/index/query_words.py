"""The words of a photo that an index is asked with."""

import numpy as np

from bow2cnn.index.engine import QuantisedFeatures
from bow2cnn.index.words import quantise_features


def quantise_query(keypoint, descriptor, size, vocabulary, soft_words):
    """`QuantisedFeatures` of a photo that is not in the index, every feature with several words.

    Args:
        keypoint, descriptor: float32 [N, 6] and uint8 [N, 128].
        size: (width, height).
        vocabulary: `Vocabulary` of the index.
        soft_words: words of every feature.
    """
    found = quantise_features(descriptor, keypoint, np.array([0, len(keypoint)]), vocabulary, soft_words)
    return QuantisedFeatures(found["word"], found["signature"], found["keypoint"], found["feature"], size, found["nearest"])
