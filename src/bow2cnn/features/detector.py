"""Which features a photo has, as the config says."""

from typing import NamedTuple

import cv2
import numpy as np

from bow2cnn.collection.photo import read_rgb


class Detector(NamedTuple):
    """How features are found.

    Attributes:
        max_features: the strongest so many per photo.
        max_side: larger photos are shrunk to this longer side first (0: never).
        affine: with affine shape (`features.affine`) instead of similarity (`features.sift`).
        upright: with the direction of the photo instead of their own.
    """

    max_features: int
    max_side: int = 0
    affine: bool = False
    upright: bool = False

    def detect(self, path, width, height):
        """Features of the photo at a path, which has this size upright.

        Returns:
            keypoints and descriptors as those of `sift.detect`, in pixels of the full photo, and how many of these a pixel of the searched
            photo is along x and y, float32 [2].

        Raises:
            PhotoError: it cannot be read.
        """
        rgb = read_rgb(path, self.max_side or None)
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if self.affine:  # whoever needs no COLMAP loads none
            from bow2cnn.features.affine import detect
        else:
            from bow2cnn.features.sift import detect
        # Per axis, because the shorter side of a shrunk photo is rounded.
        scale = np.array([width / gray.shape[1], height / gray.shape[0]])
        return *detect(gray, self.max_features, scale, self.upright), scale.astype(np.float32)
