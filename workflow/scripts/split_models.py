"""Which models train, which validate, which are dropped."""

from bow2cnn.core.stage import stage
from bow2cnn.split.split_models import split_models

with stage(snakemake.log[0]):
    split_models(
        models=snakemake.input.models,
        graph=snakemake.input.graph or None,
        clusters=snakemake.input.clusters or None,
        contamination=dict(zip(snakemake.params.benchmarks, snakemake.input.contaminations, strict=True)),
        out=snakemake.output.split,
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
