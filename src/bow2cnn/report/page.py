"""The page: everything a run found, learned and dropped, in one HTML file that needs no network."""

from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.core.same_photos import check_photos
from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.report.sections.clusters import clusters as show_clusters
from bow2cnn.report.sections.curves import curves as show_curves
from bow2cnn.report.sections.models import models as show_models
from bow2cnn.report.sections.provenance import provenance as show_provenance
from bow2cnn.report.sections.rankings import rankings as show_rankings
from bow2cnn.report.sections.rejections import rejections as show_rejections
from bow2cnn.report.sections.summary import summary as show_summary
from bow2cnn.report.sections.table import table as show_table
from bow2cnn.report.sections.tuples import tuples as show_tuples
from bow2cnn.report.templates import environment
from bow2cnn.run.run_data import RunData

_OF_PHOTOS = ("collection", "watermarks", "graph", "clusters", "models", "split")


def write_report(
    out, collection, pairs, sources, validations, histories, table, gains, benchmarks, rankings, pairings,
    watermarks=None, words=(), graph=None, clusters=None, models=None, split=None, config=None, timings=None, features=(),
):  # fmt: skip
    """Write the report. What a run lacks (benchmarks, experiments, models) is said in a sentence.

    Args:
        out: the HTML file.
        collection: path of the artefact.
        pairs: source of pairs to the paths of its `positives`, `negatives` and `validation`.
        sources: experiment to the source of its pairs.
        validations: name of a validation in the table to the source that it is of.
        histories: experiment to path of its history.
        table, gains: paths of evaluation.csv and gains.json.
        benchmarks: name to `collection` and `truth` (paths).
        rankings: name (a validation or a benchmark) to path of its rankings.
        pairings: experiment to the system that it is compared with.
        watermarks, graph, clusters: paths of the artefacts that the teacher makes; words, features: paths in the order of the
            shards; none of them where it did not work.
        models, split: paths; none where the run began with pairs.
        config: the run's config, to be shown.
        timings: folder of Snakemake's benchmark files; the only part of the page that differs between two runs on the same photos.
    """
    paths = {"collection": collection, "watermarks": watermarks, "graph": graph, "clusters": clusters}
    paths |= {"models": models, "split": split, "table": table, "gains": gains}
    of_pairs = [path for files in pairs.values() for path in files.values()]
    check_photos(
        *(paths[name] for name in _OF_PHOTOS if paths[name] is not None), *of_pairs, *(shards for shards in (words, features) if shards)
    )
    run = RunData(paths, words, pairs, sources, validations, histories, benchmarks, rankings, pairings, config or {}, features)
    thumbs = ThumbnailCache()
    sections = {
        "summary": ("Gains", show_summary(run)),
        "table": ("Table", show_table(run)),
        **({"clusters": ("Collection", show_clusters(run, thumbs))} if clusters else {}),
        **({"models": ("3D models", show_models(run, thumbs))} if models else {}),
        "tuples": ("Tuples", show_tuples(run, thumbs)),
        "rankings": ("Rankings", show_rankings(run, thumbs)),
        "curves": ("Curves", show_curves(run)),
        "rejections": ("Dropped", show_rejections(run, thumbs)),
        "provenance": ("Making", show_provenance(run, timings)),
    }
    # File names need not be UTF-8; what is not becomes a question mark.
    write_bytes(out, environment().get_template("page.html").render(sections=sections).encode("utf-8", "replace"))
