"""A photo from outside the collection as a query: its features and words, made as the stages make them, or those of a region of it."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.features.detector import Detector
from bow2cnn.features.extract import extract_isolated
from bow2cnn.geometry.pair import PhotoFeatures
from bow2cnn.index.engine import QuantisedFeatures
from bow2cnn.index.query_words import quantise_query
from bow2cnn.index.region import in_region, lies_in
from bow2cnn.photos.decode import PhotoError, read_header
from bow2cnn.vocabulary.vocabulary import Vocabulary


class RegionError(ValueError):
    """A region that is empty or outside the photo; the message says which."""


class Query(NamedTuple):
    """A photo, or a region of it, that the index is asked for.

    Attributes:
        path: of the photo.
        region: (left, top, right, bottom) in pixels of the upright photo, or None for the whole photo.
        words: the words of the features in the region; `words.size` is (width, height) of the upright photo at full size.
        features: the features in the region.
        all_features: number of features of the whole photo.
    """

    path: str | Path
    region: tuple[float, float, float, float] | None
    words: QuantisedFeatures
    features: PhotoFeatures
    all_features: int

    @property
    def part(self) -> float:
        """Longer side of the region, as a fraction of the photo's longer side."""
        if self.region is None:
            return 1.0
        left, top, right, bottom = self.region
        return max(right - left, bottom - top) / max(self.words.size)


def read_query(
    path: str | Path,
    region: tuple[float, float, float, float] | None,
    vocabulary: Vocabulary,
    soft_words: int,
    detector: Detector,
    max_pixels: int,
) -> Query:
    """Make a query of a photo, or of a region of it.

    Args:
        path: the photo. It may be hostile, so it is decoded in a process of its own.
        region: (left, top, right, bottom) in pixels of the upright photo, or None; it is cut off at the edges of the photo.
        vocabulary: of the index.
        soft_words: number of words of every feature.
        detector: the one that found the features of the index.
        max_pixels: larger photos are refused.

    Raises:
        PhotoError: the file cannot be used as a photo.
        RegionError: the region is empty or outside the photo.
    """
    if not os.path.lexists(path):
        raise PhotoError("no such file")
    header = read_header(path, 1, max_pixels)
    size = header["width"], header["height"]
    region = None if region is None else _clip(region, *size)
    ((_, (keypoint, descriptor, scale, error)),) = extract_isolated([(str(path), *size)], detector, 1)
    if error:
        raise PhotoError(error)
    words = quantise_query(keypoint, descriptor, size, vocabulary, soft_words)
    rows = np.ones(len(keypoint), bool) if region is None else lies_in(keypoint, region)
    features = PhotoFeatures.unmasked(keypoint[rows], descriptor[rows], scale, size)
    return Query(path, region, in_region(words, region), features, len(keypoint))


def _clip(region, width, height):
    """The region, cut off at the edges of the photo."""
    text = " ".join(f"{value:g}" for value in region)
    if not all(map(math.isfinite, region)) or region[0] >= region[2] or region[1] >= region[3]:
        raise RegionError(f"region {text} is empty; give left, top, right, bottom in pixels")
    left, top, right, bottom = max(region[0], 0.0), max(region[1], 0.0), min(region[2], width), min(region[3], height)
    if left >= right or top >= bottom:
        raise RegionError(f"region {text} lies outside the photo, which is {width} x {height} pixels")
    return left, top, right, bottom
