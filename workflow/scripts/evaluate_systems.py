"""The table, the gains and the rankings behind them."""

from bow2cnn.evaluation.table import write_table
from bow2cnn.stage import stage

files, names = snakemake.input, snakemake.params.benchmarks
descriptors = iter(files.descriptors)
systems = {
    system: {"whitening": whitening, "descriptors": {photos: next(descriptors) for photos in ["collection", *names]}}
    for system, whitening in zip(snakemake.params.systems, files.whitenings, strict=True)
}
rankings = files.rankings or [None] * len(names)  # without a teacher
parts = zip(names, snakemake.params.photos, files.gnd, files.collections, rankings, strict=True)
benchmarks = {
    name: {"photos": photos, "gnd": gnd, "collection": collection, "ranking": ranking} for name, photos, gnd, collection, ranking in parts
}

with stage(snakemake.log[0], snakemake.params.threads):
    write_table(
        systems=systems,
        benchmarks=benchmarks,
        pairs=files.pairs,
        pairings=snakemake.params.pairings,
        chosen=dict(zip(snakemake.params.pairings, files.histories, strict=True)),
        table=snakemake.output.table,
        gains=snakemake.output.gains,
        rankings=dict(zip(["validation", *names], snakemake.output.rankings, strict=True)),
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
