"""Which features belong to watermarks."""

from bow2cnn.digest import digest
from bow2cnn.index.marks import find_marks
from bow2cnn.stage import stage

with stage(snakemake.log[0], snakemake.params.threads):
    find_marks(
        collection=snakemake.input.collection,
        words=list(snakemake.input.words),
        out=snakemake.output.marks,
        seed=snakemake.params.seed,
        code=digest(__file__),
        **snakemake.params.settings,
    )
