"""SIFT (Lowe, IJCV 2004) by OpenCV, with RootSIFT descriptors (Arandjelovic and Zisserman, CVPR 2012)."""

import cv2
import numpy as np

# sqrt of an L1-normalised SIFT vector has unit L2 norm; a value of 0.5 hardly ever occurs, so x 512 uses the byte well.
DESCRIPTOR_SCALE = 512.0


def detect(gray, max_features, scale=1.0, upright=False):
    """Features of a grey photo.

    Args:
        gray: uint8 [h, w].
        max_features: the strongest so many by difference-of-Gaussians contrast.
        scale: factor from the pixels of `gray` to those of the full photo.
        upright: whether all of them have the direction of the photo, not their own: photos are taken upright, and what lies is not what
            stands (Perdoch, Chum, Matas, Efficient representation of local geometry, CVPR 2009).

    Returns:
        keypoints float32 [N, 6] in pixels of the full photo (x, y, a11, a12, a21, a22; centre of the top left pixel at 0.5, 0.5)
        and descriptors uint8 [N, 128], both in the order of falling strength.
    """
    # Without the precise upscaling every keypoint lies a quarter of a pixel too far to the right and down.
    sift = cv2.SIFT_create(nfeatures=0, contrastThreshold=0.02, edgeThreshold=10, enable_precise_upscale=True)
    found = sift.detect(gray, None)
    if upright:
        found = _turn_upright(found)
    strongest = np.argsort([-k.response for k in found], kind="stable")[:max_features]
    found, descriptors = sift.compute(gray, [found[i] for i in strongest])
    if not found:
        return np.zeros((0, 6), np.float32), np.zeros((0, 128), np.uint8)
    return _frames(found, scale), root_sift(descriptors)


def _turn_upright(keypoints):
    """The keypoints, each once, without a direction of their own."""
    places = {(*keypoint.pt, keypoint.size): keypoint for keypoint in keypoints}
    for keypoint in places.values():
        keypoint.angle = 0.0
    return list(places.values())


def root_sift(descriptors):
    """RootSIFT as bytes: round(512 sqrt(d / |d|_1)), uint8 [N, 128]."""
    unit = descriptors / np.maximum(np.abs(descriptors).sum(1, keepdims=True), 1e-12)
    return np.clip(np.rint(np.sqrt(unit) * DESCRIPTOR_SCALE), 0, 255).astype(np.uint8)


def _frames(keypoints, scale):
    """Similarity frames of OpenCV keypoints; OpenCV's `size` is the diameter, its pixel centres lie on integers."""
    values = np.array([(*k.pt, k.size / 2, k.angle) for k in keypoints], np.float64)
    xy = (values[:, :2] + 0.5) * scale
    radius, angle = values[:, 2] * scale, np.deg2rad(values[:, 3])
    cosine, sine = radius * np.cos(angle), radius * np.sin(angle)
    return np.column_stack([xy, cosine, -sine, sine, cosine]).astype(np.float32)
