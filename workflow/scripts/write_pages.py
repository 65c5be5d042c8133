"""A page for every 3D model, and an overview of all clusters."""

from bow2cnn.core.stage import stage
from bow2cnn.report.pages.write import write_pages

with stage(snakemake.log[0]):
    write_pages(out=snakemake.output.pages, files=dict(snakemake.input.items()))
