"""The folder of pages: `index.html`, an overview of all clusters, and `model-NNN.html`. No page needs a network or another file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bow2cnn.core.atomic_files import atomic_folder, write_bytes
from bow2cnn.core.progress import progress
from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.pages.model import ModelPages
from bow2cnn.report.pages.overview import overview
from bow2cnn.report.templates import environment
from bow2cnn.run.run import Run


def write_pages(out: str | Path, files: Mapping[str, Any]) -> None:
    """Write the pages.

    Args:
        out: the folder, which is replaced as a whole.
        files: where collection, features, graph, clusters, models and split of a run lie, see `Run`.

    Raises:
        ArtefactError: a file of the run is missing, damaged, or about other photos.
        WriteError: the disk is full or not writable.
    """
    run, thumbs, templates = Run(files), ThumbnailCache(), environment()
    models = ModelPages(run, thumbs)
    with atomic_folder(out) as folder:
        # File names need not be UTF-8; what is not becomes a question mark.
        for number in progress(range(len(models)), "pages"):
            page = templates.get_template("model.html").render(model=models.page(number))
            write_bytes(folder / name_of(number), page.encode("utf-8", "replace"))
        page = templates.get_template("overview.html").render(overview=overview(run, thumbs, name_of))
        write_bytes(folder / "index.html", page.encode("utf-8", "replace"))


def name_of(number: int) -> str:
    """File of a model's page."""
    return f"model-{number:03d}.html"
