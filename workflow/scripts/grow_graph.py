"""The graph of verified pairs, grown from the seeds."""

from bow2cnn.clustering.growth import grow_graph
from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    grow_graph(
        index=snakemake.input.index,
        seeds=snakemake.input.seeds,
        features=list(snakemake.input.features),
        out=snakemake.output.graph,
        threads=snakemake.params.threads,
        code=digest(__file__),
        **snakemake.params.settings,
    )
