"""Which features a photo has, as the config says."""

from typing import NamedTuple

import cv2

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
        """Features of the photo at a path, which has this size upright; see `sift.detect`, in pixels of the full photo.

        Raises:
            PhotoError: it cannot be read.
        """
        rgb = read_rgb(path, self.max_side or None)
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if self.affine:  # whoever needs no COLMAP loads none
            from bow2cnn.features.affine import detect
        else:
            from bow2cnn.features.sift import detect
        return detect(gray, self.max_features, max(width, height) / max(rgb.shape[:2]), self.upright)
