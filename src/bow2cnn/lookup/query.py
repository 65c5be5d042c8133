"""A photo from outside the collection as a query: features and words as the stages make them, those of a region of it."""

import math
import os
from typing import NamedTuple

from bow2cnn.collection.photo import PhotoError, read_header
from bow2cnn.features.extract import extract_apart
from bow2cnn.retrieval.engine import Words
from bow2cnn.retrieval.query_words import query_words
from bow2cnn.retrieval.region import in_region


class RegionError(ValueError):
    """A region in which there can be nothing of the photo; the message says why."""


class Query(NamedTuple):
    """A photo that is asked for: its path, (left, top, right, bottom) of the region or None, its `Words` there, and how many features
    the whole photo has. `words.size` is (width, height) of the photo, upright and at full size, as all its pixel coordinates are."""

    path: str
    region: tuple | None
    words: Words
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
    ((_, (keypoint, descriptor, _, error)),) = extract_apart([(path, *size)], detector, 1)
    if error:
        raise PhotoError(error)
    words = query_words(keypoint, descriptor, size, vocabulary, soft_words)
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
