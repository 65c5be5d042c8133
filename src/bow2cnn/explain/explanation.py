"""All that a run says about a photo, in lines and in a picture."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from bow2cnn.core.printable import printable
from bow2cnn.explain.masked_features import count_masked
from bow2cnn.explain.photo_in_cluster import Link, explain_cluster
from bow2cnn.explain.photo_in_model import explain_model
from bow2cnn.explain.photo_in_training import explain_training
from bow2cnn.features.store import FeatureStore
from bow2cnn.pictures.match_drawing import arrange, pair_panel
from bow2cnn.pictures.view import View
from bow2cnn.run.run import Run


class Explanation(NamedTuple):
    """Lines, all printable, and the pairs that a picture shows."""

    lines: list[str]
    links: list[Link]


def explain(run: Run, row: int) -> Explanation:
    """What became of a photo of the collection, and why.

    Raises:
        ArtefactError: a file of the run is damaged, or does not belong to the others.
    """
    width, height = run.size(row)
    head = f"{run.photos['path'][row]}: {width} x {height} pixels, row {row} of the collection"
    cluster, links = explain_cluster(run, row)
    lines = [head, *cluster, *_masked(run, row), *explain_model(run, row), *explain_training(run, row)]
    return Explanation([printable(line) for line in lines], links)


def _masked(run, row):
    """A line on the features that are left out because they are on watermarks, if there are any."""
    masked, features = count_masked(run, row)
    if not masked:
        return []
    count = f"all {features}" if masked == features else f"{masked} of {features}"
    return [f"watermarks: {count} local features are left out of the index; they recur at the same place of unrelated photos"]


def draw_explanation(run: Run, row: int, explanation: Explanation) -> Image.Image:
    """The pairs of an explanation with their matches; the photo alone if there are none."""
    panels = [_panel(run, link) for link in explanation.links]
    return arrange(panels or [_view(run, row).image], printable(f"{run.photos['name'][row]}: {explanation.lines[1]}"))


def _view(run, row):
    return View(run.photos["path"][row], run.size(row))


def _panel(run, link):
    views = [_view(run, row) for row in (link.first, link.second)]
    pair, rows = run.graph["pair"][link.edge].tolist(), slice(*run.graph["match_offset"][link.edge : link.edge + 2])
    match, store = run.graph["match"][rows], FeatureStore(run.shards("features"), capacity=0)
    columns = [match[:, pair.index(photo)] for photo in (link.first, link.second)]
    points = [
        view.place(store.keypoints(photo)[column, :2]) if len(column) else np.zeros((0, 2))
        for view, photo, column in zip(views, (link.first, link.second), columns, strict=True)
    ]
    names = " - ".join(run.photos["name"][photo] for photo in (link.first, link.second))
    return pair_panel(*(view.image for view in views), *points, f"{link.inliers} inliers  {names}")
