"""Affine-covariant features by COLMAP: difference-of-Gaussians points with the shape of their second moments (Mikolajczyk and Schmid,
IJCV 2004), described by RootSIFT.
"""

import functools

import numpy as np
import pycolmap


def detect(gray, max_features, scale=1.0, upright=False):
    """Affine features of a grey photo; see `sift.detect`. Which of too many are kept, and their order, are COLMAP's."""
    keypoints, descriptors = _extractor(max_features, upright).extract(pycolmap.Bitmap.from_array(gray))
    frames = np.array([(k.x, k.y, k.a11, k.a12, k.a21, k.a22) for k in keypoints], np.float64).reshape(-1, 6)
    # COLMAP counts points, and a point may have two directions.
    x, y = np.broadcast_to(scale, 2)
    return (frames * (x, y, x, x, y, y)).astype(np.float32)[:max_features], np.asarray(descriptors.data, np.uint8).reshape(-1, 128)[
        :max_features
    ]


@functools.cache
def _extractor(max_features, upright):
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    options = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    options.sift.estimate_affine_shape = True
    options.sift.max_num_features = max_features
    options.sift.upright = upright
    return pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
