"""Detection of the local features of a photo, with the settings of the config."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bow2cnn.photos.decode import read_rgb


class Detector(NamedTuple):
    """Settings of the detection.

    Attributes:
        max_features: maximum number of features per photo; the strongest are kept.
        side: longer side, in pixels, to which photos are resized first, so that a small file and a large file of the same photo give the
            same features (0: photos are not resized).
        affine: features have an affine shape (`bow2cnn.features.affine`) instead of size and direction (`bow2cnn.features.sift`).
        upright: features have the direction of the photo instead of their own.
    """

    max_features: int
    side: int = 0
    affine: bool = False
    upright: bool = False

    def detect(self, path: str | Path, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Find and describe the features of a photo.

        Args:
            path: the photo.
            width, height: its size when it is upright, pixels.

        Returns:
            keypoints float32 [N, 6] and descriptors uint8 [N, 128] (see `bow2cnn.features.sift.detect`), in pixels of the full photo; and
            the factors along x and y from pixels of the resized photo to those of the full photo, float32 [2].

        Raises:
            PhotoError: the photo cannot be read.
        """
        rgb = read_rgb(path, self.side or None)
        gray = _enlarge(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), self.side)
        if self.affine:  # COLMAP is loaded only where it is used
            from bow2cnn.features.affine import detect
        else:
            from bow2cnn.features.sift import detect
        # One factor per axis, because the shorter side is rounded.
        scale = np.array([width / gray.shape[1], height / gray.shape[0]])
        return *detect(gray, self.max_features, scale, self.upright), scale.astype(np.float32)


def _enlarge(gray: np.ndarray, side: int) -> np.ndarray:
    """Enlarge a grey photo, uint8 [h, w], whose longer side is smaller than `side`.

    Pillow's bicubic filter is softer than OpenCV's (a = -0.5 and -0.75 in Keys, 1981), which sharpens noise and compression too.
    """
    factor = side / max(gray.shape)
    if factor <= 1:
        return gray
    size = max(1, round(gray.shape[1] * factor)), max(1, round(gray.shape[0] * factor))
    return np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BICUBIC))
