"""Clusters of the graph."""

from bow2cnn.clustering.clusters import cut_clusters
from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage

with stage(snakemake.log[0]):
    cut_clusters(graph=snakemake.input.graph, out=snakemake.output.clusters, code=digest(__file__), **snakemake.params.settings)
