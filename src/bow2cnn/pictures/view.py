"""Photos fitted into a box of a sheet, with the mapping from the photo's pixels to the picture's."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bow2cnn.core.printable import printable
from bow2cnn.photos.decode import PhotoError, read_rgb

SAMPLES = 2  # pictures are drawn at this multiple of the size that is shown, and shrunk in the end
BOX = (420, 300)  # width and height in pixels, as shown, of the box into which a photo is fitted
PAPER, INK, _GREY = (250, 250, 248), (30, 34, 40), (168, 170, 174)
_ENLARGED = 2.0  # largest magnification
_FRAME, _HALO = (255, 214, 0), (0, 0, 0)


class View:
    """A photo or a part of it, fitted into `BOX`.

    Args:
        path: the photo. If it cannot be read (any more), a grey box shows the reason.
        size: width and height of the upright photo in pixels. All coordinates are pixels of this photo.
        part: left, top, right, bottom of the part that is shown; None for the whole photo.

    Attributes:
        image: the picture, `SAMPLES` times as large as shown.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], part: tuple[float, float, float, float] | None = None) -> None:
        box = np.array([0, 0, *size] if part is None else part, float)
        self._origin, extent = box[:2], box[2:] - box[:2]
        self._scale = min(*(BOX / extent), _ENLARGED) * SAMPLES
        shape = np.maximum(np.rint(extent * self._scale), 1).astype(int)
        self.image = _read(path, size, box, self._scale, tuple(shape.tolist()))

    def place(self, xy: np.ndarray) -> np.ndarray:
        """Convert points of the photo, float [k, 2], to pixels of `image`, float64 [k, 2]."""
        return (np.asarray(xy, float) - self._origin) * self._scale

    def framed(self, corners: np.ndarray) -> Image.Image:
        """A copy of `image` with a closed outline that is visible on bright and on dark photos.

        Args:
            corners: float [m, 2], pixels of the photo.
        """
        image = self.image.copy()
        pen = ImageDraw.Draw(image)
        points = [tuple(point) for point in self.place(corners)]
        for width, color in ((3.5, _HALO), (2.0, _FRAME)):
            pen.line([*points, *points[:2]], fill=color, width=round(width * SAMPLES), joint="curve")
        return image


def draw_text(image: Image.Image, place: tuple[int, int], text: str, size: int, color: tuple[int, int, int], width: int) -> None:
    """Draw a line of text, shortened to fit.

    Args:
        image: the picture.
        place: left and top of the text in pixels, as shown.
        text: one line; characters that cannot be printed are escaped.
        size: of the font in pixels, as shown.
        color: red, green, blue.
        width: largest width of the text in pixels of the image.
    """
    font = ImageFont.load_default(size * SAMPLES)
    text = printable(text)
    if font.getlength(text) > width:
        while text and font.getlength(f"{text} ...") > width:
            text = text[:-1]
        text = f"{text} ..."
    ImageDraw.Draw(image).text((place[0] * SAMPLES, place[1] * SAMPLES), text, color, font)


def _read(path, size, part, scale, shape):
    """The part of a photo at this width and height, or a placeholder."""
    try:
        # At up to twice the final size, so that the decoder may work at half or quarter size.
        rgb = read_rgb(path, int(np.ceil(min(2 * scale, 1.0) * max(size))))
    except PhotoError as error:
        image = Image.new("RGB", shape, _GREY)
        draw_text(image, (8, 6), str(error), 14, PAPER, shape[0] - 16 * SAMPLES)
        return image
    height, width = rgb.shape[:2]
    box = np.clip(part * (np.array([width, height] * 2) / (*size, *size)), 0, [width, height] * 2)
    return Image.fromarray(rgb).resize(shape, Image.Resampling.LANCZOS, box=tuple(box.tolist()))
