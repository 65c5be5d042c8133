"""A picture of an answer: the query beside each verified photo, with lines between matching features and the outline of the query."""

from pathlib import Path

import numpy as np
from PIL import Image

from bow2cnn.pictures.match_drawing import arrange, pair_panel, save_sheet
from bow2cnn.pictures.view import View
from bow2cnn.search.listing import verdict
from bow2cnn.search.query import Query
from bow2cnn.search.searcher import Answer, Searcher

SHOWN = 60  # photos at most
_AROUND, _LEAST = 0.25, 16  # margin shown around a region: fraction of its longer side, and pixels at least


def write_sheet(out: str | Path, searcher: Searcher, query: Query, answer: Answer) -> None:
    """Write the picture of an answer.

    Args:
        out: the file; its suffix decides on the format.
        searcher, query, answer: see `draw_sheet`.

    Raises:
        SheetError: the suffix names no known format.
        WriteError: the file cannot be written.
    """
    save_sheet(out, draw_sheet(searcher, query, answer))


def draw_sheet(searcher: Searcher, query: Query, answer: Answer) -> Image.Image:
    """Draw the first verified photos of an answer, `SHOWN` at most; the query alone if none is verified."""
    view = View(query.path, query.words.size, _surroundings(query))
    shown = [(rank, hit) for rank, hit in enumerate(answer.hits, 1) if hit.verified][:SHOWN]
    panels = [_panel(searcher, query, view, rank, hit) for rank, hit in shown]
    return arrange(panels or [view.framed(_corners(query))], f"{Path(query.path).name}: {verdict(searcher, query, answer)}")


def _surroundings(query):
    """The region with a margin, so that it is shown large and can still be recognised; None for the whole photo."""
    if query.region is None:
        return None
    left, top, right, bottom = query.region
    around = max(_AROUND * max(right - left, bottom - top), _LEAST)
    width, height = query.words.size
    return max(left - around, 0), max(top - around, 0), min(right + around, width), min(bottom + around, height)


def _corners(query):
    """Corners of the region or of the whole photo, float [4, 2] in pixels."""
    left, top, right, bottom = query.region or (0, 0, *query.words.size)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def _panel(searcher, query, view, rank, hit):
    """Query and photo side by side below a caption."""
    run = searcher.run
    match, photo = searcher.match(query, hit.photo), View(run.photos["path"][hit.photo], run.size(hit.photo))
    left, right = view.framed(_corners(query)), photo.image
    if match.transform is not None:
        right = photo.framed(_corners(query) @ match.transform[:, :2].T + match.transform[:, 2])
    caption = f"{rank}.  {hit.inliers} inliers  {run.photos['name'][hit.photo]}"
    return pair_panel(left, right, view.place(match.query), photo.place(match.photo), caption)
