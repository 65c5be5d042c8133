"""From how many inliers a photo counts as verified."""

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.retrieval.calibrate_inliers import calibrate_verification

with stage(snakemake.log[0], snakemake.params.threads):
    calibrate_verification(
        index=snakemake.input.index,
        features=list(snakemake.input.features),
        out=snakemake.output.verification,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        code=digest(__file__),
        **snakemake.params.settings,
    )
