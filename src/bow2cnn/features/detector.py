"""Which features a photo has, as the config says."""

from typing import NamedTuple

import cv2
import numpy as np

from bow2cnn.photos.decode import read_rgb


class Detector(NamedTuple):
    """How features are found.

    Attributes:
        max_features: the strongest so many per photo.
        side: photos are brought to this longer side first, so that a small file is searched as a large one of the same photo is (0: photos
            are searched as they are).
        affine: with affine shape (`features.affine`) instead of similarity (`features.sift`).
        upright: with the direction of the photo instead of their own.
    """

    max_features: int
    side: int = 0
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
        rgb = read_rgb(path, self.side or None)
        gray = _enlarge(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), self.side)
        if self.affine:  # whoever needs no COLMAP loads none
            from bow2cnn.features.affine import detect
        else:
            from bow2cnn.features.sift import detect
        # Per axis, because the shorter side is rounded.
        scale = np.array([width / gray.shape[1], height / gray.shape[0]])
        return *detect(gray, self.max_features, scale, self.upright), scale.astype(np.float32)


def _enlarge(gray: np.ndarray, side: int) -> np.ndarray:
    """A grey photo whose longer side is smaller at this one, uint8 [h, w]."""
    factor = side / max(gray.shape)
    if factor <= 1:
        return gray
    return cv2.resize(gray, [max(1, round(length * factor)) for length in gray.shape[::-1]], interpolation=cv2.INTER_CUBIC)
