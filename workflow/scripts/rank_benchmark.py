"""The teacher's rankings of a benchmark."""

from bow2cnn.retrieval.benchmark import rank_benchmark
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    rank_benchmark(
        vocabulary=snakemake.input.vocabulary,
        collection=snakemake.input.collection,
        features=snakemake.input.features,
        truth=snakemake.input.truth,
        out=snakemake.output.ranking,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        **snakemake.params.settings,
    )
