"""A photo as the network sees it: upright, shrunk, perhaps cut to a region."""

import cv2
import numpy as np

from bow2cnn.collection.photo import read_rgb


def load_photo(path, image_size, region=None):
    """Decode a photo and shrink it so that its longer side is at most `image_size`; it is never enlarged.

    Args:
        path: the file.
        image_size: pixels.
        region: (left, top, right, bottom) in pixels of the upright full-size photo, or None. The region is cut from the full-size
            photo and then scaled by the factor of the whole photo, so what it shows keeps the scale it has in the database
            (field.md 3.3).

    Returns:
        uint8 RGB [h, w, 3].

    Raises:
        PhotoError: cannot be decoded.
    """
    if region is None:
        # Twice the wanted size: the decoder may then work at half or quarter size, and the rest is an average over areas.
        photo = read_rgb(path, 2 * image_size)
        return shrink(photo, min(1.0, image_size / max(photo.shape[:2])))
    photo = read_rgb(path)
    factor = min(1.0, image_size / max(photo.shape[:2]))
    return shrink(cut(photo, region), factor)


def cut(photo, region):
    """The part of a photo inside (left, top, right, bottom), clipped to the photo; at least one pixel."""
    height, width = photo.shape[:2]
    left, top, right, bottom = (int(round(value)) for value in region)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return photo[top : max(min(bottom, height), top + 1), left : max(min(right, width), left + 1)]


def shrink(photo, factor):
    """Resize by a factor of at most 1, averaging over areas."""
    if factor >= 1.0:
        return np.ascontiguousarray(photo)
    height, width = photo.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
