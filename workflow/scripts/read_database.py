"""The training database from a file of the reference trainer."""

from bow2cnn.exchange.retrieval_sfm import import_database
from bow2cnn.stage import stage

with stage(snakemake.log[0]):
    import_database(database=snakemake.input.database, collection=snakemake.input.collection, out=snakemake.output.pairs)
