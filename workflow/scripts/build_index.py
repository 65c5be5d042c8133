"""The inverted and the forward file."""

from bow2cnn.digest import digest
from bow2cnn.index.build import build_index
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    build_index(
        collection=snakemake.input.collection,
        words=list(snakemake.input.words),
        marks=snakemake.input.marks,
        vocabulary=snakemake.input.vocabulary,
        out=snakemake.output.index,
        code=digest(__file__),
    )
