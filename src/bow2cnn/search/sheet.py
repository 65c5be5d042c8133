"""A picture of an answer: the query beside each verified photo, lines between the features that agree, and where the query lies in it."""

from pathlib import Path

import numpy as np

from bow2cnn.pictures.panels import arrange, pair_panel, save_sheet
from bow2cnn.pictures.view import View
from bow2cnn.search.listing import verdict

SHOWN = 60  # photos at most
_AROUND, _LEAST = 0.25, 16  # so much of a region's longer side is shown around it, and so many pixels


def write_sheet(out, lookup, query, answer):
    """Write the picture of an answer: its first verified hits, `SHOWN` at most; the query alone where nothing is verified.

    Args:
        out: the file, its format by its suffix.
        lookup, query, answer: `Searcher`, the `Query` and the `Answer` to it.

    Raises:
        SheetError: the suffix is of no known format.
        WriteError: the file cannot be written.
    """
    save_sheet(out, draw_sheet(lookup, query, answer))


def draw_sheet(lookup, query, answer):
    """The same as a Pillow image."""
    view = View(query.path, query.words.size, _surroundings(query))
    shown = [(rank, hit) for rank, hit in enumerate(answer.hits, 1) if hit.verified][:SHOWN]
    panels = [_panel(lookup, query, view, rank, hit) for rank, hit in shown]
    return arrange(panels or [view.framed(_corners(query))], f"{Path(query.path).name}: {verdict(lookup, query, answer)}")


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
    caption = f"{rank}.  {_inliers(hit, match)}  {lookup.names[hit.photo]}"
    return pair_panel(left, right, view.place(match.query), photo.place(match.photo), caption)


def _inliers(hit, match):
    """How many; of an expanded query, whose own are drawn, both numbers."""
    own = "" if hit.inliers == len(match.query) else f" ({len(match.query)} unexpanded)"
    return f"{hit.inliers} inliers{own}"
