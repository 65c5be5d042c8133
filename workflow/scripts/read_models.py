"""The 3D models that the user has."""

from bow2cnn.reconstruction.given import read_models
from bow2cnn.stage import stage

with stage(snakemake.log[0]):
    read_models(
        folder=snakemake.params.folder,
        collection=snakemake.input.collection,
        out=snakemake.output.models,
        min_photos=snakemake.params.min_photos,
    )
