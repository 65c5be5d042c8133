"""Verification of a pair of photos with all their features: what joins photos in the graph, and what a search calls verified."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bow2cnn.geometry.epipolar import scale_fundamental
from bow2cnn.geometry.matching import (
    count_evidence,
    deduplicate_matches,
    is_degenerate,
    match_descriptors,
    static_fraction,
    verify_epipolar,
)
from bow2cnn.geometry.overlays import verify_without_overlay


class PhotoFeatures(NamedTuple):
    """The features of a photo.

    Attributes:
        keypoint: affine frames (x, y, a11, a12, a21, a22), float32 [N, 6], pixels of the photo.
        descriptor: uint8 [N, 128].
        masked: whether a feature is on a watermark, bool [N].
        scale: factors along x and y from the pixels in which features were detected to those of the photo, float32 [2].
        size: (width, height) of the photo, pixels.
    """

    keypoint: np.ndarray
    descriptor: np.ndarray
    masked: np.ndarray
    scale: np.ndarray
    size: Sequence[float] | np.ndarray

    @classmethod
    def unmasked(
        cls, keypoint: np.ndarray, descriptor: np.ndarray, scale: np.ndarray, size: Sequence[float] | np.ndarray
    ) -> "PhotoFeatures":
        """The features of a photo of which no watermarks are known."""
        return cls(keypoint, descriptor, np.zeros(len(keypoint), bool), scale, size)


class PairGeometry(NamedTuple):
    """What two photos have in common.

    Attributes:
        inliers: number of inliers at different places that agree in size and direction (see `count_evidence`).
        fundamental: the fundamental matrix F, float64 [3, 3], pixels of the photos (x_b^T F x_a = 0).
        match: all inliers, rows of the features of both, int32 [k, 2].
        unmoved: share of them that lie at the same place in both photos.
    """

    inliers: int
    fundamental: NDArray[np.float64]
    match: NDArray[np.int32]
    unmoved: float


def verify_pair(a: PhotoFeatures, b: PhotoFeatures, min_inliers: int, part: float = 1.0) -> PairGeometry | None:
    """Match and verify two photos; matches of overlays and watermarks are left out.

    Args:
        a, b: the photos.
        min_inliers: minimum number of inliers (see `PairGeometry`).
        part: size of the part of the photos that may match, as a fraction of the whole: places are the smaller, the smaller it is.

    Returns:
        What they have in common; None if there are fewer inliers, or if they determine no geometry.
    """
    found_a, found_b = a.keypoint[:, :2] / a.scale, b.keypoint[:, :2] / b.scale
    match = deduplicate_matches(found_a, found_b, match_descriptors(a.descriptor, b.descriptor))
    features = max(int(np.count_nonzero(~photo.masked)) for photo in (a, b))

    def verify(match: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        estimate = functools.partial(verify_epipolar, found_a, found_b)
        return verify_without_overlay(estimate, match, a.keypoint, b.keypoint, a.size, b.size, features)

    fundamental, inliers, match = verify(match)
    # The mask of a watermark may be only a part of it. So its features help to recognise an overlay before they are left out themselves.
    masked = a.masked[match[:, 0]] | b.masked[match[:, 1]]
    if masked.any():
        fundamental, inliers, _ = verify(match[~masked])
    sizes = [np.asarray(photo.size) * part for photo in (a, b)]
    evidence = count_evidence(a.keypoint[inliers[:, 0]], b.keypoint[inliers[:, 1]], *sizes)
    if evidence < min_inliers or is_degenerate(a.keypoint, b.keypoint, inliers, *sizes):
        return None
    unmoved = static_fraction(a.keypoint, b.keypoint, inliers, a.size, b.size)
    return PairGeometry(evidence, scale_fundamental(fundamental, a.scale, b.scale), inliers, unmoved)


def count_inliers(a: PhotoFeatures, b: PhotoFeatures, part: float = 1.0) -> int:
    """Number of inliers of two photos (see `PairGeometry`); 0 if they determine no geometry."""
    pair = verify_pair(a, b, 1, part)
    return 0 if pair is None else pair.inliers
