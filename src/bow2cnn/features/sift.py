"""SIFT (Lowe, IJCV 2004) by OpenCV, with RootSIFT descriptors (Arandjelovic and Zisserman, CVPR 2012)."""

import cv2
import numpy as np

# sqrt of an L1-normalised SIFT vector has unit L2 norm; a value of 0.5 hardly ever occurs, so x 512 uses the byte well.
DESCRIPTOR_SCALE = 512.0


def detect(gray, max_features, scale=1.0, upright=False, contrast=0.02):
    """Features of a grey photo.

    Args:
        gray: uint8 [h, w].
        max_features: the strongest so many by difference-of-Gaussians contrast.
        scale: factor from the pixels of `gray` to those of the full photo.
        upright: whether all of them have the direction of the photo, not their own: photos are taken upright, and what lies is not what
            stands (Perdoch, Chum, Matas, Efficient representation of local geometry, CVPR 2009).
        contrast: the smallest, of the range of grey values.

    Returns:
        keypoints float32 [N, 6] in pixels of the full photo (x, y, a11, a12, a21, a22; centre of the top left pixel at 0.5, 0.5)
        and descriptors uint8 [N, 128], both in the order of falling strength.
    """
    # Without the precise upscaling every keypoint lies a quarter of a pixel too far to the right and down.
    most = 0 if upright else max_features
    sift = cv2.SIFT_create(nfeatures=most, contrastThreshold=contrast, edgeThreshold=10, enable_precise_upscale=True)
    if upright:
        found = _turn_upright(sift.detect(gray, None))
        found, descriptors = sift.compute(gray, [found[i] for i in _strongest_first(_columns(found))[:max_features]])
    else:  # in one go, which takes two thirds of the time of two
        found, descriptors = sift.detectAndCompute(gray, None)
    if not found:
        return np.zeros((0, 6), np.float32), np.zeros((0, 128), np.uint8)
    columns = _columns(found)
    order = _strongest_first(columns)[:max_features]
    return _frames(columns[:, order], scale), root_sift(descriptors[order])


def _columns(keypoints):
    """x, y, diameter, angle (degrees) and response of OpenCV's keypoints, float32 [5, N]."""
    columns = np.empty((5, len(keypoints)), np.float32)
    columns[:2] = np.reshape(cv2.KeyPoint_convert(keypoints), (-1, 2)).T
    columns[2:] = [[k.size for k in keypoints], [k.angle for k in keypoints], [k.response for k in keypoints]]
    return columns


def _strongest_first(columns):
    """Order of keypoints by falling response; among equals (one place with two directions) by place, size and direction."""
    x, y, size, angle, response = columns
    return np.lexsort((angle, -size, y, x, -response))


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


def _frames(columns, scale):
    """Similarity frames of OpenCV keypoints, of whose pixels the centres lie on integers."""
    x, y, diameter, angle, _ = columns.astype(np.float64)
    radius, angle = diameter / 2 * scale, np.deg2rad(angle)
    cosine, sine = radius * np.cos(angle), radius * np.sin(angle)
    return np.column_stack([(x + 0.5) * scale, (y + 0.5) * scale, cosine, -sine, sine, cosine]).astype(np.float32)
