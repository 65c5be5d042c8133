"""The visual vocabulary."""

from bow2cnn.core.stage import stage
from bow2cnn.vocabulary.train import train_vocabulary

with stage(snakemake.log[0], snakemake.params.threads):
    train_vocabulary(
        features=list(snakemake.input.features),
        out=snakemake.output.vocabulary,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        **snakemake.params.settings,
    )
