"""Photos of the collection that show a place of a benchmark."""

from bow2cnn.core.stage import stage
from bow2cnn.split.contamination import find_contamination

with stage(snakemake.log[0], snakemake.params.threads):
    find_contamination(
        index=snakemake.input.index,
        vocabulary=snakemake.input.vocabulary,
        collection=snakemake.input.collection,
        features=snakemake.input.features,
        out=snakemake.output.ranking,
        threads=snakemake.params.threads,
        **snakemake.params.settings,
    )
