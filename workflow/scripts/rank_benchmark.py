"""The teacher's rankings of a benchmark."""

from bow2cnn.core.stage import stage
from bow2cnn.retrieval.rank_benchmark import rank_benchmark

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
