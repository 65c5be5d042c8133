"""Lists the photos of a benchmark."""

from bow2cnn.benchmarks.read import read_benchmark
from bow2cnn.core.stage import stage

with stage(snakemake.log[0]):
    read_benchmark(
        photos=snakemake.params.photos,
        gnd=snakemake.input.gnd,
        out=snakemake.output.collection,
        truth=snakemake.output.truth,
        distractors=snakemake.params.distractors,
        **snakemake.params.settings,
    )
