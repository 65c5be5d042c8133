"""Pairs of photos that share a sketch, for a part of the sketches."""

from bow2cnn.clustering.minhash import collide_sketches
from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    collide_sketches(
        index=snakemake.input.index,
        out=snakemake.output.collisions,
        part=int(snakemake.wildcards.part),
        parts=snakemake.params.parts,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        code=digest(__file__),
        **snakemake.params.settings,
    )
