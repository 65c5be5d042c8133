"""Small pictures inside the page: JPEG data URIs."""

import base64
import io

from markupsafe import Markup
from PIL import Image, ImageDraw

from bow2cnn.photos.decode import PhotoError, read_rgb

_SIZE = (192, 116)  # pixels; twice as many as shown would look sharper on some screens and cost twice the bytes
_QUALITY = 62
_GONE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='120' height='90'%3E"
    "%3Crect width='120' height='90' fill='%23999'/%3E%3Ctext x='60' y='49' fill='%23fff' font-family='sans-serif' "
    "font-size='12' text-anchor='middle'%3Enot readable%3C/text%3E%3C/svg%3E"
)


class ThumbnailCache:
    """Thumbnails of photos; every photo is decoded once."""

    def __init__(self):
        self._known = {}

    def photo(self, path, size=_SIZE):
        """Data URI of a photo that fits into `size`, a grey placeholder where it cannot be read any more."""
        if (path, size) not in self._known:
            self._known[path, size] = _shrunk(path, size)
        return self._known[path, size]

    def changed(self, path, change):
        """The same of what a function makes of the photo, uint8 RGB [h, w, 3]."""
        return _shrunk(path, _SIZE, change)


def to_uri(image, quality=_QUALITY):
    """A picture (Pillow or uint8 [height, width, 3]) as a JPEG data URI."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    # Base64 and this prefix need no escaping.
    return Markup("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())


def crop_around(path, points, full_size, width=300):
    """Data URI of the part of a photo where points lie, with a ring around each; None where the photo cannot be read.

    Args:
        points: float [k, 2] in pixels of the photo at full size, k > 0.
        full_size: (width, height) of the photo.
        width: of the picture.
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
    """A box of 3 : 2 around points that stays inside the photo where it can, at least a third of the photo wide."""
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
