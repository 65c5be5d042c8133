"""Notes what the vocabulary is made with."""

from pathlib import Path

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.vocabulary.recipe import note_recipe

with stage(snakemake.log[0]):
    # As the digests are in this job's environment, which need not be Snakemake's.
    code = [digest(Path(__file__).with_name(f"{script}.py")) for script in ("extract_features", "train_vocabulary")]
    note_recipe(out=snakemake.output.recipe, recipe={**snakemake.params.recipe, "code": code})
