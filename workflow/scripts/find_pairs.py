"""The pairs of a source: positives, negatives, and the truth of validation."""

from bow2cnn.core.stage import stage
from bow2cnn.pairs.found import find_pairs

with stage(snakemake.log[0], snakemake.params.threads):
    find_pairs(
        function=snakemake.params.function,
        source=snakemake.wildcards.source,
        inputs={name: files if isinstance(files, str) else list(files) for name, files in snakemake.input.items() if name != "given"}
        | dict.fromkeys(snakemake.params.given, str(snakemake.input.given)),
        positives=snakemake.output.positives,
        negatives=snakemake.output.negatives,
        validation=snakemake.output.validation,
        settings=snakemake.params.settings,
    )
