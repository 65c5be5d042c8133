"""Seeds of clusters by min-hash."""

from bow2cnn.discovery.minhash import find_seeds
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    find_seeds(
        index=snakemake.input.index,
        out=snakemake.output.seeds,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        code=snakemake.params.digest,
        **snakemake.params.settings,
    )
