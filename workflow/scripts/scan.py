"""Lists the photos of the folders, per shard."""

from pathlib import Path

from bow2cnn.collection.scan import scan
from bow2cnn.core.stage import stage

with stage(snakemake.log[0]):
    scan(
        photos=snakemake.params.photos,
        folder=Path(snakemake.output[0]).parent,
        shards=snakemake.params.shards,
        benchmarks=snakemake.params.benchmarks,
        **snakemake.params.settings,
    )
