"""The inverted and the forward file."""

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.index.build import build_index

with stage(snakemake.log[0], snakemake.params.threads):
    build_index(
        collection=snakemake.input.collection,
        words=list(snakemake.input.words),
        watermarks=snakemake.input.watermarks,
        vocabulary=snakemake.input.vocabulary,
        out=snakemake.output.index,
        code=digest(__file__),
    )
