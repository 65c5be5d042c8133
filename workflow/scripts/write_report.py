"""The page with everything on it."""

from pathlib import Path

from bow2cnn.core.stage import stage
from bow2cnn.report.page import write_report

files, params = snakemake.input, snakemake.params


def by_name(names, paths):
    """Name to path."""
    return dict(zip(names, paths, strict=True))


with stage(snakemake.log[0]):
    write_report(
        out=snakemake.output.page,
        files={
            **dict(files.items()),
            **{name: by_name(params.pairs, files[name]) for name in ("positives", "negatives", "validation")},
            "history": by_name(params.experiments, files.history),
            **{name: by_name(params.benchmarks, files[name]) for name in ("benchmark_photos", "truth")},
            "rankings": by_name([*params.validations, *params.benchmarks], files.rankings),
        },
        sources=params.sources,
        validations=params.validations,
        pairings=params.pairings,
        config=params.config,
        # Of the jobs that ran before this one; no input, because a report need not be made anew when a job took longer.
        timings=Path(snakemake.output.page).parent / "timings",
    )
