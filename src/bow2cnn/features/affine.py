"""Affine-covariant features by COLMAP: difference-of-Gaussians points whose shape comes from their second moments (Mikolajczyk and
Schmid, IJCV 2004), described by RootSIFT.
"""

import functools

import numpy as np
import pycolmap
from numpy.typing import NDArray


def detect(
    gray: np.ndarray, max_features: int, scale: float | np.ndarray = 1.0, upright: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Find and describe the affine features of a grey photo.

    COLMAP chooses which features are kept where there are too many, and their order.

    Args:
        gray, max_features, scale, upright: see `bow2cnn.features.sift.detect`.

    Returns:
        keypoints float32 [N, 6] and descriptors uint8 [N, 128]; see `bow2cnn.features.sift.detect`.
    """
    keypoints, descriptors = _extractor(max_features, upright).extract(pycolmap.Bitmap.from_array(gray))
    frames = np.array([(k.x, k.y, k.a11, k.a12, k.a21, k.a22) for k in keypoints], np.float64).reshape(-1, 6)
    x, y = np.broadcast_to(scale, 2)
    keypoints, described = (frames * (x, y, x, x, y, y)).astype(np.float32), np.asarray(descriptors.data, np.uint8).reshape(-1, 128)
    # COLMAP's limit counts points, and a point may have two directions.
    return keypoints[:max_features], described[:max_features]


@functools.cache
def _extractor(max_features, upright):
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    options = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    options.sift.estimate_affine_shape = True
    options.sift.max_num_features = max_features
    options.sift.upright = upright
    return pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
