"""Which features belong to watermarks."""

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.index.watermarks import find_watermarks

with stage(snakemake.log[0], snakemake.params.threads):
    find_watermarks(
        collection=snakemake.input.collection,
        words=list(snakemake.input.words),
        out=snakemake.output.watermarks,
        seed=snakemake.params.seed,
        code=digest(__file__),
        **snakemake.params.settings,
    )
