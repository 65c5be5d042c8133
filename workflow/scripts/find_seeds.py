"""Seeds of clusters: colliding pairs that geometry confirms."""

from bow2cnn.digest import digest
from bow2cnn.discovery.seeds import find_seeds
from bow2cnn.retrieval.calibration import read_min_inliers
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    find_seeds(
        index=snakemake.input.index,
        collisions=list(snakemake.input.collisions),
        out=snakemake.output.seeds,
        min_inliers=read_min_inliers(snakemake.input.verification).hard,
        threads=snakemake.params.threads,
        code=digest(__file__),
        **snakemake.params.settings,
    )
