"""The collection: the photos that are in the folders now, and those of the benchmarks."""

import time

LISTS = [
    "<results>/collection/collection.h5",
    *expand("<results>/collection/shard-{shard}.h5", shard=PHOTO_SHARDS),
]


# Runs every time. It rewrites the lists (collection.h5 and one per shard) only if they changed. So they are not declared outputs: the other
# rules see them as source files. On a cluster it runs beside Snakemake itself, because only there the lists are sure to look new as soon as
# it has ended.
checkpoint scan:
    output:
        touch("<results>/collection/scan.done"),
    log:
        "<logs>/scan/scan.log",
    benchmark:
        "<timings>/scan/scan.tsv"
    localrule: True
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
    params:
        photos=config["photos"],
        shards=len(PHOTO_SHARDS),
        settings=settings("collection"),
        benchmarks=config["benchmarks"],
        now=time.time(),
    message:
        "collection: looking for photos"
    script:
        "../scripts/scan.py"


# Before the first scan the lists do not exist, so this rule tells Snakemake where they will come from.
if not all(os.path.exists(path.replace("<results>", config["results"])) for path in LISTS):

    rule first_scan:
        output:
            LISTS,
        log:
            "<logs>/scan/first.log",
        localrule: True
        conda:
            "../../envs/geometry.yaml"
        threads: 1
        resources:
            mem_mb=memory(3000),
        params:
            photos=config["photos"],
            shards=len(PHOTO_SHARDS),
            settings=settings("collection"),
            benchmarks=config["benchmarks"],
        message:
            "collection: looking for photos"
        script:
            "../scripts/scan.py"
