"""A picture of an answer: the query beside each verified photo, lines between the features that agree, and where the query lies in it."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from bow2cnn.files import write_bytes
from bow2cnn.lookup.listing import verdict
from bow2cnn.lookup.view import INK, PAPER, SAMPLES, View, write_text

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
SHOWN = 60  # photos at most
_GAP, _MARGIN, _TITLE, _CAPTION = 8, 24, 40, 26  # between the photos of a pair, around pairs, height of the lines of text
_WIDTH, _NARROWEST = 1760, 1040  # pixels of a sheet, but for its margins
_LINES = 120  # between two photos, at most; more hide what they lie on
_AROUND, _LEAST = 0.25, 16  # so much of a region's longer side is shown around it, and so many pixels


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


def write_sheet(out, lookup, query, answer):
    """Write the picture of an answer: its first verified hits, `SHOWN` at most; the query alone where nothing is verified.

    Args:
        out: the file, its format by its suffix.
        lookup, query, answer: `Lookup`, the `Query` and the `Answer` to it.

    Raises:
        SheetError: the suffix is of no known format.
        WriteError: the file cannot be written.
    """
    buffer = io.BytesIO()
    draw_sheet(lookup, query, answer).save(buffer, format_of(out), quality=90)
    write_bytes(out, buffer.getvalue())


def draw_sheet(lookup, query, answer):
    """The same as a Pillow image."""
    view = View(query.path, query.words.size, _surroundings(query))
    shown = [(rank, hit) for rank, hit in enumerate(answer.hits, 1) if hit.verified][:SHOWN]
    panels = [_panel(lookup, query, view, rank, hit) for rank, hit in shown]
    sheet = _arrange(panels or [view.framed(_corners(query))], f"{Path(query.path).name}: {verdict(lookup, query, answer)}")
    return sheet.resize((sheet.width // SAMPLES, sheet.height // SAMPLES), Image.Resampling.BOX)


def _surroundings(query):
    """A region with something of the photo around it: it is shown large and can still be recognised. None where there is no region."""
    if query.region is None:
        return None
    left, top, right, bottom = query.region
    around = max(_AROUND * max(right - left, bottom - top), _LEAST)
    width, height = query.words.size
    return max(left - around, 0), max(top - around, 0), min(right + around, width), min(bottom + around, height)


def _corners(query):
    """Of the region, of the whole photo where there is none, float [4, 2]."""
    left, top, right, bottom = query.region or (0, 0, *query.words.size)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def _panel(lookup, query, view, rank, hit):
    """Query and photo side by side below a caption."""
    match, photo = lookup.match(query, hit.photo), View(lookup.paths[hit.photo], lookup.size[hit.photo])
    left, right = view.framed(_corners(query)), photo.image
    if len(match.query) >= lookup.settings["min_inliers"]:  # always, but for photos that only an expanded query finds
        right = photo.framed(_corners(query) @ match.transform[:, :2].T + match.transform[:, 2])
    top, start = _CAPTION * SAMPLES, left.width + _GAP * SAMPLES
    panel = Image.new("RGB", (start + right.width, top + max(left.height, right.height)), PAPER)
    panel.paste(left, (0, top))
    panel.paste(right, (start, top))
    _draw_matches(panel, np.add(view.place(match.query), (0, top)), np.add(photo.place(match.photo), (start, top)))
    write_text(panel, (0, 3), f"{rank}.  {_inliers(hit, match)}  {lookup.names[hit.photo]}", 15, INK, panel.width)
    return panel


def _inliers(hit, match):
    """How many; of an expanded query, whose own are drawn, both numbers."""
    own = "" if hit.inliers == len(match.query) else f" ({len(match.query)} unexpanded)"
    return f"{hit.inliers} inliers{own}"


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


def _arrange(panels, title):
    """The panels below the title, as many in a row as there is room for."""
    margin = _MARGIN * SAMPLES
    rows = _rows(panels, _WIDTH * SAMPLES, margin)
    heights = [max(panel.height for panel in row) + margin for row in rows]
    widths = [sum(panel.width + margin for panel in row) for row in rows]
    top = margin + _TITLE * SAMPLES
    sheet = Image.new("RGB", (margin + max(*widths, _NARROWEST * SAMPLES), top + sum(heights)), PAPER)
    write_text(sheet, (_MARGIN, _MARGIN), title, 20, INK, sheet.width - 2 * margin)
    for row, height in zip(rows, heights, strict=True):
        left = margin
        for panel in row:
            sheet.paste(panel, (left, top))
            left += panel.width + margin
        top += height
    return sheet


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
