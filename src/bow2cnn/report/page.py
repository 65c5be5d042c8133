"""The page: everything a run found, learned and dropped, in one HTML file that needs no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.sections.all_systems import all_systems as show_all_systems
from bow2cnn.report.sections.clusters import clusters as show_clusters
from bow2cnn.report.sections.curves import curves as show_curves
from bow2cnn.report.sections.models import models as show_models
from bow2cnn.report.sections.provenance import provenance as show_provenance
from bow2cnn.report.sections.rankings import rankings as show_rankings
from bow2cnn.report.sections.rejections import rejections as show_rejections
from bow2cnn.report.sections.summary import summary as show_summary
from bow2cnn.report.sections.tuples import tuples as show_tuples
from bow2cnn.report.sections.unmatched import unmatched as show_unmatched
from bow2cnn.report.templates import environment
from bow2cnn.run.run import Run


def write_report(
    out: str | Path,
    files: Mapping[str, Any],
    sources: Mapping[str, str],
    validations: Mapping[str, str],
    pairings: Mapping[str, str],
    config: Mapping[str, Any] | None = None,
    timings: str | Path | None = None,
) -> None:
    """Write the report. If a run lacks something (benchmarks, experiments, models), a sentence says so.

    Args:
        out: the HTML file.
        files: where the artefacts of the run lie, see `Run`.
        sources: experiment to the source of its pairs.
        validations: name of a validation in the table to the source that it is of.
        pairings: experiment to the system that it is compared with.
        config: the run's config, to be shown.
        timings: folder of Snakemake's benchmark files; the only part of the page that differs between two runs on the same photos.

    Raises:
        ArtefactError: a file of the run is missing, damaged, or about other photos.
        ResultsError: the table or the gains are damaged.
        WriteError: the disk is full or not writable.
    """
    run, thumbs = Run(files), ThumbnailCache()
    sections = {
        "summary": ("Gains", show_summary(run, pairings)),
        "all_systems": ("All systems", show_all_systems(run)),
        **({"clusters": ("Collection", show_clusters(run, thumbs))} if "clusters" in run else {}),
        **({"models": ("3D models", show_models(run, thumbs))} if "models" in run else {}),
        **({"unmatched": ("Geometry", found)} if (found := show_unmatched(run, thumbs)) else {}),
        "tuples": ("Tuples", show_tuples(run, sources, thumbs)),
        "rankings": ("Rankings", show_rankings(run, pairings, validations, thumbs)),
        "curves": ("Curves", show_curves(run)),
        "rejections": ("Dropped", show_rejections(run, thumbs)),
        "provenance": ("Provenance", show_provenance(config or {}, timings)),
    }
    # File names need not be UTF-8; what is not becomes a question mark.
    write_bytes(out, environment().get_template("page.html").render(sections=sections).encode("utf-8", "replace"))
