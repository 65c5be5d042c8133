"""A photo from outside the collection as a query: features and words as the stages make them, those of a region of it."""

import math
import os
from typing import NamedTuple

from bow2cnn.features.extract import extract_isolated
from bow2cnn.index.engine import QuantisedFeatures
from bow2cnn.index.query_words import quantise_query
from bow2cnn.index.region import in_region
from bow2cnn.photos.decode import PhotoError, read_header


class RegionError(ValueError):
    """A region in which there can be nothing of the photo; the message says why."""


class Query(NamedTuple):
    """A photo that is asked for, and what it is asked for with.

    Attributes:
        path: of the photo.
        region: (left, top, right, bottom) in pixels, or None for the whole photo.
        words: its `QuantisedFeatures` in the region; `words.size` is (width, height) of the upright photo at full size.
        features: number of features of the whole photo.
    """

    path: str
    region: tuple | None
    words: QuantisedFeatures
    features: int


def read_query(path, region, vocabulary, soft_words, detector, max_pixels):
    """The query that a photo is, or a region of it.

    Args:
        path: the photo. Nobody has looked at it before, so it is decoded in a process of its own.
        region: (left, top, right, bottom) in pixels of the upright photo, or None; what of it stands out of the photo is cut off.
        vocabulary: `Vocabulary` of the index.
        soft_words: words of every feature.
        detector: the `Detector` of the index's features.
        max_pixels: larger photos are refused.

    Raises:
        PhotoError: it cannot be used as a photo.
        RegionError: the region is empty or outside the photo.
    """
    if not os.path.lexists(path):
        raise PhotoError("no such file")
    header = read_header(path, 1, max_pixels)
    size = header["width"], header["height"]
    region = None if region is None else _clip(region, *size)
    ((_, (keypoint, descriptor, _, error)),) = extract_isolated([(path, *size)], detector, 1)
    if error:
        raise PhotoError(error)
    words = quantise_query(keypoint, descriptor, size, vocabulary, soft_words)
    return Query(path, region, in_region(words, region), len(keypoint))


def _clip(region, width, height):
    """The region without what stands out of the photo."""
    text = " ".join(f"{value:g}" for value in region)
    if not all(map(math.isfinite, region)) or region[0] >= region[2] or region[1] >= region[3]:
        raise RegionError(f"region {text} is empty; it is left, top, right, bottom in pixels")
    left, top, right, bottom = max(region[0], 0.0), max(region[1], 0.0), min(region[2], width), min(region[3], height)
    if left >= right or top >= bottom:
        raise RegionError(f"region {text} lies outside the photo, which is {width} x {height} pixels")
    return left, top, right, bottom
