"""Whitening of one network's descriptors, learned from the training pairs."""

from bow2cnn.core.stage import stage
from bow2cnn.whitening.learn_whitening import learn_whitening

with stage(snakemake.log[0], snakemake.params.threads):
    learn_whitening(
        descriptors=snakemake.input.descriptors,
        positives=snakemake.input.positives,
        negatives=snakemake.input.negatives,
        validation=snakemake.input.validation,
        out=snakemake.output.whitening,
        **snakemake.params.settings,
    )
