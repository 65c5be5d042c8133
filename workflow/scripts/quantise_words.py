"""Visual words of a shard's features."""

from bow2cnn.digest import digest
from bow2cnn.index.words import quantise
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    quantise(
        collection=snakemake.input.collection,
        features=snakemake.input.features,
        vocabulary=snakemake.input.vocabulary,
        out=snakemake.output.words,
        threads=snakemake.params.threads,
        code=digest(__file__),
    )
