"""The page with everything on it."""

from bow2cnn.report.page import write_report
from bow2cnn.stage import stage

files, names = snakemake.input, snakemake.params.benchmarks

with stage(snakemake.log[0]):
    write_report(
        out=snakemake.output.page,
        collection=files.collection,
        marks=files.marks,
        graph=files.graph,
        clusters=files.clusters,
        models=files.models,
        split=files.split,
        pairs=files.pairs,
        histories=dict(zip(snakemake.params.experiments, files.histories, strict=True)),
        table=files.table,
        gains=files.gains,
        benchmarks=dict(zip(names, files.benchmarks, strict=True)),
        rankings=dict(zip(["validation", *names], files.rankings, strict=True)),
    )
