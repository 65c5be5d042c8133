"""The page with everything on it."""

from pathlib import Path

from bow2cnn.core.stage import stage
from bow2cnn.report.page import write_report

files, names = snakemake.input, snakemake.params.benchmarks
parts = zip(names, files.benchmarks, files.truths, strict=True)
of_pairs = zip(snakemake.params.pairs, files.positives, files.negatives, files.validations, strict=True)

with stage(snakemake.log[0]):
    write_report(
        out=snakemake.output.page,
        collection=files.collection,
        pairs={source: dict(zip(("positives", "negatives", "validation"), paths, strict=True)) for source, *paths in of_pairs},
        sources=snakemake.params.sources,
        validations=snakemake.params.validations,
        histories=dict(zip(snakemake.params.experiments, files.histories, strict=True)),
        table=files.table,
        gains=files.gains,
        benchmarks={name: {"collection": collection, "truth": truth} for name, collection, truth in parts},
        rankings=dict(zip([*snakemake.params.validations, *names], files.rankings, strict=True)),
        pairings=snakemake.params.pairings,
        # Empty where the run began with models or pairs of the user's.
        words=files.words,
        features=files.features,
        **{name: files[name] or None for name in ("watermarks", "graph", "clusters", "models", "split")},
        config=snakemake.params.config,
        # Of the jobs that ran before this one; no input, because a report need not be made anew when a job took longer.
        timings=Path(snakemake.output.page).parent / "timings",
    )
