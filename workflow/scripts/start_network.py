"""A network as it comes off the shelf."""

from bow2cnn.core.stage import stage
from bow2cnn.training.start import start_network

with stage(snakemake.log[0]):
    start_network(
        network=snakemake.params.network,
        pooling=snakemake.params.pooling,
        weights=snakemake.input.weights or None,
        out=snakemake.output.network,
    )
