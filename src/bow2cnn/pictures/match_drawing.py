"""Pictures of matches: panels of two photos side by side with lines between matching features, and sheets of many panels."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.pictures.view import INK, PAPER, SAMPLES, draw_text

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_GAP, _MARGIN, _TITLE, _CAPTION = 8, 24, 40, 26  # pixels: between the photos of a pair, around pairs, heights of the lines of text
_WIDTH, _NARROWEST = 1760, 1040  # largest and smallest width of a sheet in pixels, without its margins
_LINES = 120  # largest number of lines between two photos; more would hide the photos


class SheetError(ValueError):
    """A sheet cannot be written as requested; the message says why."""


def format_of(out: str | Path) -> str:
    """Pillow's name of the format for the suffix of a file name.

    Raises:
        SheetError: the suffix is not one of `FORMATS`.
    """
    try:
        return FORMATS[Path(out).suffix.lower()]
    except KeyError:
        raise SheetError(f"{out}: the name of a picture must end in {', '.join(FORMATS)}") from None


def save_sheet(out: str | Path, sheet: Image.Image) -> None:
    """Write a sheet; the suffix of the file chooses the format.

    Raises:
        SheetError: the suffix is not one of `FORMATS`.
        WriteError: the file cannot be written.
    """
    buffer = io.BytesIO()
    sheet.save(buffer, format_of(out), quality=90)
    write_bytes(out, buffer.getvalue())


def pair_panel(left: Image.Image, right: Image.Image, start: np.ndarray, end: np.ndarray, caption: str) -> Image.Image:
    """Draw two pictures side by side below a caption, with lines between matching points.

    Args:
        left, right: the pictures, `SAMPLES` times as large as shown.
        start, end: float [k, 2], the matching points in pixels of the left and of the right picture.
        caption: one line of text.
    """
    top, middle = _CAPTION * SAMPLES, left.width + _GAP * SAMPLES
    panel = Image.new("RGB", (middle + right.width, top + max(left.height, right.height)), PAPER)
    panel.paste(left, (0, top))
    panel.paste(right, (middle, top))
    _draw_matches(panel, np.add(start, (0, top)), np.add(end, (middle, top)))
    draw_text(panel, (0, 3), caption, 15, INK, panel.width)
    return panel


def arrange(panels: Sequence[Image.Image], title: str) -> Image.Image:
    """Arrange panels in rows below a title, and shrink the sheet to the size that is shown.

    Args:
        panels: pictures, `SAMPLES` times as large as shown.
        title: one line of text.
    """
    margin = _MARGIN * SAMPLES
    rows = _rows(panels, _WIDTH * SAMPLES, margin)
    heights = [max(panel.height for panel in row) + margin for row in rows]
    widths = [sum(panel.width + margin for panel in row) for row in rows]
    top = margin + _TITLE * SAMPLES
    sheet = Image.new("RGB", (margin + max(*widths, _NARROWEST * SAMPLES), top + sum(heights)), PAPER)
    draw_text(sheet, (_MARGIN, _MARGIN), title, 20, INK, sheet.width - 2 * margin)
    for row, height in zip(rows, heights, strict=True):
        left = margin
        for panel in row:
            sheet.paste(panel, (left, top))
            left += panel.width + margin
        top += height
    return sheet.resize((sheet.width // SAMPLES, sheet.height // SAMPLES), Image.Resampling.BOX)


def _rows(panels, width, margin):
    """Divide the panels into rows of at most this width (a panel that is wider has a row of its own)."""
    rows, used = [], width
    for panel in panels:
        if used + margin + panel.width > width:
            rows.append([])
            used = -margin
        rows[-1].append(panel)
        used += margin + panel.width
    return rows


def _draw_matches(panel, start, end):
    """Draw the points of all matches and at most `_LINES` lines. The colour shows the match's position in the left picture."""
    pen = ImageDraw.Draw(panel, "RGBA")
    colors = _colors(start)
    for i in range(0, len(start), -(-len(start) // _LINES) or 1):
        pen.line([tuple(start[i]), tuple(end[i])], fill=(*colors[i], 170), width=SAMPLES)
    radius = 1.6 * SAMPLES
    for point, color in zip([*start, *end], [*colors, *colors], strict=True):
        pen.ellipse([*(point - radius), *(point + radius)], fill=color, outline=(0, 0, 0, 160))


def _colors(xy):
    """A colour (red, green, blue) per point, by its rank along the direction in which the points vary most."""
    centred = xy - xy.mean(0) if len(xy) else xy
    along = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    level = np.argsort(np.argsort(along)) * 215 // max(len(xy) - 1, 1) + 20  # skips the dark ends of the scale
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_TURBO).reshape(-1, 3)[:, ::-1]
    return [tuple(color) for color in table[level].tolist()]
