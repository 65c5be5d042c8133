"""Descriptors of the collection or of a benchmark, by one network."""

from bow2cnn.description.describe import describe_collection
from bow2cnn.digest import digest
from bow2cnn.stage import stage

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
