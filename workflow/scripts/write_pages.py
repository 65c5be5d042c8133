"""A page for every 3D model, and an overview of all clusters."""

from bow2cnn.core.stage import stage
from bow2cnn.report.pages.write import write_pages

with stage(snakemake.log[0]):
    write_pages(
        out=snakemake.output.pages,
        collection=snakemake.input.collection,
        graph=snakemake.input.graph,
        clusters=snakemake.input.clusters,
        models=snakemake.input.models,
        split=snakemake.input.split,
        features=list(snakemake.input.features),
    )
