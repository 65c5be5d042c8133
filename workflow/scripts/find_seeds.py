"""Seeds of clusters: colliding pairs that geometry confirms."""

from bow2cnn.clustering.seeds import find_seeds
from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    find_seeds(
        index=snakemake.input.index,
        collisions=list(snakemake.input.collisions),
        verification=snakemake.input.verification,
        out=snakemake.output.seeds,
        threads=snakemake.params.threads,
        code=digest(__file__),
        **snakemake.params.settings,
    )
