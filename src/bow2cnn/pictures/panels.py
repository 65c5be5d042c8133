"""Pictures of matches: two photos side by side with lines between the features that agree, many such panels on one sheet."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.pictures.view import INK, PAPER, SAMPLES, draw_text

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_GAP, _MARGIN, _TITLE, _CAPTION = 8, 24, 40, 26  # between the photos of a pair, around pairs, height of the lines of text
_WIDTH, _NARROWEST = 1760, 1040  # pixels of a sheet, but for its margins
_LINES = 120  # between two photos, at most; more hide what they lie on


class SheetError(ValueError):
    """A sheet cannot be written as asked; the message says why."""


def format_of(out):
    """Pillow's name of the format that a file name asks for.

    Raises:
        SheetError: there is none for it.
    """
    try:
        return FORMATS[Path(out).suffix.lower()]
    except KeyError:
        raise SheetError(f"{out}: the name of a picture ends in {', '.join(FORMATS)}") from None


def save_sheet(out, sheet):
    """Write a sheet, its format by the file's suffix.

    Raises:
        SheetError: the suffix is of no known format.
        WriteError: the file cannot be written.
    """
    buffer = io.BytesIO()
    sheet.save(buffer, format_of(out), quality=90)
    write_bytes(out, buffer.getvalue())


def pair_panel(left, right, start, end, caption):
    """Two pictures side by side below a caption, with lines between points of the one and of the other, float [k, 2] each."""
    top, middle = _CAPTION * SAMPLES, left.width + _GAP * SAMPLES
    panel = Image.new("RGB", (middle + right.width, top + max(left.height, right.height)), PAPER)
    panel.paste(left, (0, top))
    panel.paste(right, (middle, top))
    _draw_matches(panel, np.add(start, (0, top)), np.add(end, (middle, top)))
    draw_text(panel, (0, 3), caption, 15, INK, panel.width)
    return panel


def arrange(panels, title):
    """The sheet: the panels below the title, as many in a row as there is room for."""
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
    """The panels cut into rows of at most this width (or of one panel)."""
    rows, used = [], width
    for panel in panels:
        if used + margin + panel.width > width:
            rows.append([])
            used = -margin
        rows[-1].append(panel)
        used += margin + panel.width
    return rows


def _draw_matches(panel, start, end):
    """Dots of all matches and lines of some where they are many. The colour says from where in the query a match comes."""
    pen = ImageDraw.Draw(panel, "RGBA")
    colors = _colors(start)
    for i in range(0, len(start), -(-len(start) // _LINES) or 1):
        pen.line([tuple(start[i]), tuple(end[i])], fill=(*colors[i], 170), width=SAMPLES)
    radius = 1.6 * SAMPLES
    for point, color in zip([*start, *end], [*colors, *colors], strict=True):
        pen.ellipse([*(point - radius), *(point + radius)], fill=color, outline=(0, 0, 0, 160))


def _colors(xy):
    """A colour (red, green, blue) per point, by its place along the direction in which the points extend most."""
    centred = xy - xy.mean(0) if len(xy) else xy
    along = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    level = np.argsort(np.argsort(along)) * 215 // max(len(xy) - 1, 1) + 20  # without the dark ends of the scale
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_TURBO).reshape(-1, 3)[:, ::-1]
    return [tuple(color) for color in table[level].tolist()]
