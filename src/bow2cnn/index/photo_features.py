"""The features of a photo of the index, as the verification with all features takes them."""

import numpy as np

from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import PhotoFeatures
from bow2cnn.index.engine import Engine


def photo_features(engine: Engine, store: FeatureStore, photo: int) -> PhotoFeatures:
    """The features of a photo; those that the index does not have are on watermarks.

    Args:
        engine: the index.
        store: the features of its photos.
        photo: row.
    """
    keypoint, descriptor = store[photo]
    masked = np.ones(len(keypoint), bool)
    masked[engine.words(photo).feature] = False
    return PhotoFeatures(keypoint, descriptor, masked, store.scale(photo), engine.size[photo])
