"""Visual words of a shard's features."""

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.index.words import quantise_shard

with stage(snakemake.log[0], snakemake.params.threads):
    quantise_shard(
        collection=snakemake.input.collection,
        features=snakemake.input.features,
        vocabulary=snakemake.input.vocabulary,
        out=snakemake.output.words,
        threads=snakemake.params.threads,
        code=digest(__file__),
    )
