"""Thumbnails that are embedded in a page, as JPEG data URIs."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw

from bow2cnn.photos.decode import PhotoError, read_rgb

_SIZE = (192, 116)  # width and height in pixels, as shown; twice these would look sharper on some screens and take twice the bytes
_QUALITY = 62
_GONE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='120' height='90'%3E"
    "%3Crect width='120' height='90' fill='%23999'/%3E%3Ctext x='60' y='49' fill='%23fff' font-family='sans-serif' "
    "font-size='12' text-anchor='middle'%3Enot readable%3C/text%3E%3C/svg%3E"
)


class ThumbnailCache:
    """Thumbnails of photos; every photo is decoded once per size."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | Path, tuple[int, int]], Markup] = {}

    def photo(self, path: str | Path, size: tuple[int, int] = _SIZE) -> Markup:
        """Data URI of a photo, or of a grey placeholder if the photo cannot be read any more.

        Args:
            path: the photo.
            size: width and height in pixels into which it is fitted.
        """
        if (path, size) not in self._known:
            self._known[path, size] = _shrunk(path, size)
        return self._known[path, size]

    def changed(self, path: str | Path, change: Callable[[np.ndarray], np.ndarray]) -> Markup:
        """Like `photo`, after a function has changed the pixels (RGB, uint8 [h, w, 3])."""
        return _shrunk(path, _SIZE, change)


def to_uri(image: Image.Image | np.ndarray, quality: int = _QUALITY) -> Markup:
    """Encode a picture as a JPEG data URI.

    Args:
        image: Pillow's, or RGB, uint8 [height, width, 3].
        quality: of the JPEG, 1 to 95.
    """
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    # Base64 and this prefix need no escaping.
    return Markup("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())


def crop_around(path: str | Path, points: np.ndarray, full_size: tuple[int, int], width: int = 300) -> Markup | None:
    """Data URI of the part of a photo that contains some points, with a ring around each point.

    Args:
        path: the photo.
        points: float [k, 2], k > 0, in pixels of the photo at full size.
        full_size: width and height of the photo in pixels.
        width: of the picture, in pixels.

    Returns:
        None if the photo cannot be read.
    """
    try:
        rgb = read_rgb(path, 1600)
    except PhotoError:
        return None
    image = Image.fromarray(rgb)
    points = points * (image.width / full_size[0])
    box = _frame(points, image.size)
    scale = width / (box[2] - box[0])
    image = image.crop(box).resize((width, max(1, round((box[3] - box[1]) * scale))), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for x, y in (points - box[:2]) * scale:
        draw.ellipse([x - 3, y - 3, x + 3, y + 3], outline=(0, 0, 0))
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], outline=(255, 70, 90))
    return to_uri(image, 70)


def _frame(points, size):
    """A box (left, top, right, bottom) of ratio 3:2 around points, inside the photo and at least a third of it wide, where possible."""
    low, high = points.min(0), points.max(0)
    width = min(max((high[0] - low[0]) * 1.25, (high[1] - low[1]) * 1.25 * 1.5, size[0] / 3), size[0])
    height = min(width / 1.5, size[1])
    left, top = ((low + high) / 2 - (width / 2, height / 2)).tolist()
    left, top = min(max(left, 0), size[0] - width), min(max(top, 0), size[1] - height)
    return [round(left), round(top), max(round(left) + 1, round(left + width)), max(round(top) + 1, round(top + height))]


def _shrunk(path, size, change=lambda rgb: rgb):
    try:
        image = Image.fromarray(change(read_rgb(path, 2 * max(size))))
    except PhotoError:
        return Markup(_GONE)
    image.thumbnail(size, Image.Resampling.LANCZOS)
    return to_uri(image)
