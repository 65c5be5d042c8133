"""The words of a photo that an index is asked with."""

import numpy as np

from bow2cnn.index.words import sorted_words
from bow2cnn.retrieval.engine import Words


def query_words(keypoint, descriptor, size, vocabulary, soft_words):
    """`Words` of a photo that is not in the index, every feature with several words.

    Args:
        keypoint, descriptor: float32 [N, 6] and uint8 [N, 128].
        size: (width, height).
        vocabulary: `Vocabulary` of the index.
        soft_words: words of every feature.
    """
    found = sorted_words(descriptor, keypoint, np.array([0, len(keypoint)]), vocabulary, soft_words)
    return Words(found["word"], found["signature"], found["keypoint"], found["feature"], size, found["nearest"])
