"""Descriptors of the collection or of a benchmark, by one network."""

from bow2cnn.core.code_digest import digest
from bow2cnn.core.stage import stage
from bow2cnn.descriptors.describe import describe_collection

with stage(snakemake.log[0], snakemake.params.threads):
    describe_collection(
        network=snakemake.input.network,
        collection=snakemake.input.collection,
        out=snakemake.output.descriptors,
        negatives=snakemake.input.get("negatives"),
        truth=snakemake.input.get("truth"),
        threads=snakemake.params.threads,
        device=snakemake.params.device,
        code=digest(__file__),
        **snakemake.params.settings,
    )
