"""Fine-tunes the network of an experiment. The state to go on from lies beside the results, which Snakemake deletes before a rerun."""

from pathlib import Path

from bow2cnn.core.stage import stage
from bow2cnn.training.train_experiment import train_experiment

with stage(snakemake.log[0], snakemake.params.threads):
    train_experiment(
        positives=snakemake.input.positives,
        negatives=snakemake.input.negatives,
        validation=snakemake.input.validation,
        collection=snakemake.input.collection,
        start=snakemake.input.network,
        network=snakemake.output.network,
        history=snakemake.output.history,
        state=Path(snakemake.output.network).parent / "state",
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
        threads=snakemake.params.threads,
        device=snakemake.params.device,
        projection=snakemake.input.projection or None,
    )
