"""All that a run says of a photo, in lines and in a picture."""

from typing import NamedTuple

import numpy as np

from bow2cnn.core.printable import printable
from bow2cnn.explain.cluster import explain_cluster
from bow2cnn.explain.model import explain_model
from bow2cnn.explain.training import explain_training
from bow2cnn.features.store import FeatureStore
from bow2cnn.pictures.panels import arrange, pair_panel
from bow2cnn.pictures.view import View


class Explanation(NamedTuple):
    """Lines, all printable, and the `Link`s that a picture shows."""

    lines: list
    links: list


def explain(files, row):
    """The `Explanation` of a photo, by its row in the collection of `Files`."""
    photos = files.photos
    head = f"{photos['path'][row]}: {photos['width'][row]} x {photos['height'][row]} pixels, row {row} of the collection"
    cluster, links = explain_cluster(files, row)
    return Explanation(
        [printable(line) for line in [head, *cluster, *_masked(files, row), *explain_model(files, row), *explain_training(files, row)]],
        links,
    )


def _masked(files, row):
    """A line on the features that are left out as those of watermarks, if there are any."""
    masked, features = files.masked(row) or (0, 0)
    if not masked:
        return []
    count = f"all {features}" if masked == features else f"{masked} of {features}"
    return [f"watermarks: {count} local features are left out of the index; they recur at the same place of unrelated photos"]


def draw_explanation(files, row, story):
    """A Pillow image: the pairs of the story with their matches; the photo alone where there are none."""
    panels = [_panel(files, link) for link in story.links]
    return arrange(panels or [_view(files, row).image], printable(f"{files.photos['name'][row]}: {story.lines[1]}"))


def _view(files, row):
    return View(files.photos["path"][row], (int(files.photos["width"][row]), int(files.photos["height"][row])))


def _panel(files, link):
    views = [_view(files, row) for row in (link.first, link.second)]
    pair, rows = files.graph["pair"][link.edge].tolist(), slice(*files.graph["match_offset"][link.edge : link.edge + 2])
    match, store = files.graph["match"][rows], FeatureStore(files.features, capacity=0)
    columns = [match[:, pair.index(photo)] for photo in (link.first, link.second)]
    points = [
        view.place(store.keypoints(photo)[column, :2]) if len(column) else np.zeros((0, 2))
        for view, photo, column in zip(views, (link.first, link.second), columns, strict=True)
    ]
    names = " - ".join(files.photos["name"][photo] for photo in (link.first, link.second))
    return pair_panel(*(view.image for view in views), *points, f"{link.inliers} inliers  {names}")
