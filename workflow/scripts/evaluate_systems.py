"""The table, the gains and the rankings behind them."""

from bow2cnn.core.stage import stage
from bow2cnn.evaluation.results_table import write_table

files, names = snakemake.input, snakemake.params.benchmarks
descriptors = iter(files.descriptors)
learned = list(zip(snakemake.params.learned, files.learned, strict=True))
systems = {
    system: {
        "descriptors": {photos: next(descriptors) for photos in ["collection", *names]},
        "steps": steps,
        "learned": {step: file for (of, step), file in learned if of == system},
        "validation": validation,
    }
    for system, steps, validation in zip(snakemake.params.systems, snakemake.params.steps, snakemake.params.validation_of, strict=True)
}
rankings = files.rankings or [None] * len(names)  # without a teacher
parts = zip(names, files.truths, files.collections, rankings, strict=True)
benchmarks = {name: {"truth": truth, "collection": collection, "ranking": ranking} for name, truth, collection, ranking in parts}

with stage(snakemake.log[0], snakemake.params.threads):
    write_table(
        systems=systems,
        benchmarks=benchmarks,
        validations=dict(zip(snakemake.params.validations, files.validations, strict=True)),
        pairings=snakemake.params.pairings,
        chosen=dict(zip(snakemake.params.pairings, files.histories, strict=True)),
        table=snakemake.output.table,
        gains=snakemake.output.gains,
        rankings=dict(zip([*snakemake.params.validations, *names], snakemake.output.rankings, strict=True)),
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
