"""3D models of a shard of the clusters."""

from pathlib import Path

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.reconstruction.reconstruct import reconstruct_shard

with stage(snakemake.log[0]):
    reconstruct_shard(
        clusters=snakemake.input.clusters,
        graph=snakemake.input.graph,
        features=list(snakemake.input.features),
        collection=snakemake.input.collection,
        out=snakemake.output.models,
        colmap=snakemake.output.colmap,
        state=Path(snakemake.output.models).parent / "state",
        shard=int(snakemake.wildcards.part),
        shards=snakemake.params.shards,
        seed=snakemake.params.seed,
        code=digest(__file__),
        **snakemake.params.settings,
    )
