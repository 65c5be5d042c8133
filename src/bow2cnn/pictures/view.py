"""Photos as a sheet shows them: fitted into a box, with a way from the photo's pixels to the picture's."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bow2cnn.core.printable import printable
from bow2cnn.photos.decode import PhotoError, read_rgb

SAMPLES = 2  # everything is drawn so many times larger than it is shown, and shrunk in the end
BOX = (420, 300)  # pixels, as shown, that a photo is fitted into
PAPER, INK, _GREY = (250, 250, 248), (30, 34, 40), (168, 170, 174)
_ENLARGED = 2.0  # times, at most
_FRAME, _HALO = (255, 214, 0), (0, 0, 0)


class View:
    """A photo or a part of it, fitted into the box.

    Args:
        path: the photo; where it cannot be read (any more), a grey box with the reason takes its place.
        size: (width, height) of the photo at full size, upright, which all coordinates refer to.
        part: (left, top, right, bottom) of what is shown, or None.

    Attributes:
        image: Pillow, `SAMPLES` times as large as shown.
    """

    def __init__(self, path, size, part=None):
        part = np.array([0, 0, *size] if part is None else part, float)
        self._origin, extent = part[:2], part[2:] - part[:2]
        self._scale = min(*(BOX / extent), _ENLARGED) * SAMPLES
        shape = np.maximum(np.rint(extent * self._scale), 1).astype(int)
        self.image = _read(path, size, part, self._scale, tuple(shape.tolist()))

    def place(self, xy):
        """Where points of the photo, float [k, 2], are in `image`."""
        return (np.asarray(xy, float) - self._origin) * self._scale

    def framed(self, corners):
        """The image with a closed outline (float [m, 2], pixels of the photo) that is visible on bright and on dark ground."""
        image = self.image.copy()
        pen = ImageDraw.Draw(image)
        points = [tuple(point) for point in self.place(corners)]
        for width, color in ((3.5, _HALO), (2.0, _FRAME)):
            pen.line([*points, *points[:2]], fill=color, width=round(width * SAMPLES), joint="curve")
        return image


def draw_text(image, place, text, size, color, width):
    """A line of text, cut to fit into a width (pixels of the image); `place` and `size` as shown."""
    font = ImageFont.load_default(size * SAMPLES)
    text = printable(text)
    if font.getlength(text) > width:
        while text and font.getlength(f"{text} ...") > width:
            text = text[:-1]
        text = f"{text} ..."
    ImageDraw.Draw(image).text((place[0] * SAMPLES, place[1] * SAMPLES), text, color, font)


def _read(path, size, part, scale, shape):
    """The part of a photo at the given shape, or a placeholder."""
    try:
        # Up to twice as large as it will be: the decoder may then work at half or quarter size.
        rgb = read_rgb(path, int(np.ceil(min(2 * scale, 1.0) * max(size))))
    except PhotoError as error:
        image = Image.new("RGB", shape, _GREY)
        draw_text(image, (8, 6), str(error), 14, PAPER, shape[0] - 16 * SAMPLES)
        return image
    height, width = rgb.shape[:2]
    box = np.clip(part * (np.array([width, height] * 2) / (*size, *size)), 0, [width, height] * 2)
    return Image.fromarray(rgb).resize(shape, Image.Resampling.LANCZOS, box=tuple(box.tolist()))
