"""The 3D models that the user has."""

from bow2cnn.core.stage import stage
from bow2cnn.reconstruction.import_models import read_models

with stage(snakemake.log[0]):
    read_models(
        folder=snakemake.params.folder,
        collection=snakemake.input.collection,
        out=snakemake.output.models,
        min_photos=snakemake.params.min_photos,
    )
