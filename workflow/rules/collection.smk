"""The collection: which photos the folders hold now, and those of the benchmarks."""

import time

LISTS = [
    "<results>/collection/collection.h5",
    *expand("<results>/collection/shard-{shard}.h5", shard=PHOTO_SHARDS),
]


# Runs every time. It writes the lists (collection.h5 and one per shard) only where they changed, which is why they are no
# declared outputs: to the other rules they are source files like any. On a cluster it runs where Snakemake itself does: only there do
# the lists surely look new at once when it has ended.
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
        "scan: which photos are there?"
    script:
        "../scripts/scan.py"


# Before the first scan there is nothing to plan from, so the lists get a rule that says where they will come from.
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
            "scan: which photos are there?"
        script:
            "../scripts/scan.py"
