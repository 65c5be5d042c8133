"""The folder of pages: `index.html`, an overview of all clusters, and `model-NNN.html`. Each needs no network and no other file."""

import shutil
from pathlib import Path

from bow2cnn.core.atomic_files import write_bytes, write_errors
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos
from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.pages.model import Models
from bow2cnn.report.pages.overview import overview
from bow2cnn.report.templates import environment


def write_pages(out, collection, graph, clusters, models, split, features):
    """Write the pages.

    Args:
        out: folder; what is in it is deleted first.
        collection, graph, clusters, models, split: paths of the artefacts; features: paths in the order of the shards.

    Raises:
        WriteError: the disk is full or not writable.
    """
    check_photos(collection, graph, clusters, models, split, features)
    out, thumbs, templates = Path(out), ThumbnailCache(), environment()
    with write_errors(out):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
    found = Models(collection, graph, clusters, models, split, features, thumbs)
    # File names need not be UTF-8; what is not becomes a question mark.
    for number in progress(range(len(found)), "pages"):
        page = templates.get_template("model.html").render(model=found.page(number))
        write_bytes(out / name_of(number), page.encode("utf-8", "replace"))
    page = templates.get_template("overview.html").render(overview=overview(found, thumbs, name_of))
    write_bytes(out / "index.html", page.encode("utf-8", "replace"))


def name_of(number):
    """File of a model's page."""
    return f"model-{number:03d}.html"
