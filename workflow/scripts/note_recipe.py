"""Notes what the vocabulary is made with."""

from bow2cnn.stage import stage
from bow2cnn.vocabulary.recipe import note_recipe

with stage(snakemake.log[0]):
    note_recipe(
        out=snakemake.output.recipe,
        recipe=dict(snakemake.params.recipe),
    )
