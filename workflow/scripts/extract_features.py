"""Local features of a shard or a benchmark. One process per core given: a photo's features depend on the photo alone."""

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.features.extract import extract_features

with stage(snakemake.log[0]):
    extract_features(
        collection=snakemake.input.collection,
        out=snakemake.output.features,
        workers=snakemake.threads,
        code=digest(__file__),
        **snakemake.params.settings,
    )
