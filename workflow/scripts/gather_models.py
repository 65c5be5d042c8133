"""All 3D models in one artefact."""

from pathlib import Path

from bow2cnn.core.stage import stage
from bow2cnn.reconstruction.gather_models import gather_models

with stage(snakemake.log[0]):
    gather_models(
        shards=list(snakemake.input.models),
        collection=snakemake.input.collection,
        out=snakemake.output.models,
        state=Path(snakemake.output.models).parent / "state",
    )
