"""The training database."""

from bow2cnn.pairs.mine import mine_pairs
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    mine_pairs(
        models=snakemake.input.models,
        split=snakemake.input.split,
        graph=snakemake.input.graph or None,
        clusters=snakemake.input.clusters or None,
        index=snakemake.input.index or None,
        out=snakemake.output.pairs,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        **snakemake.params.settings,
    )
