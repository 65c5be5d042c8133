"""Descriptors of the collection and of the benchmarks by each network."""


rule describe_collection:
    input:
        network="<results>/{system}/network.h5",
        collection="<results>/collection/collection.h5",
        negatives=negatives_of_system,
    output:
        descriptors=update("<results>/{system}/descriptors/collection.h5"),
    log:
        "<logs>/describe/{system}/collection.log",
    benchmark:
        "<timings>/describe/{system}/collection.tsv"
    conda:
        "../../envs/network.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(3000 + config["threads"] * DECODING, collection=40, network=3),
        gpu=GPU,
    params:
        settings=description_settings,
        threads=config["threads"],
        device=config["device"],
        digest=digest("describe_collection"),
    message:
        "descriptors: the collection by {wildcards.system}"
    script:
        "../scripts/describe_collection.py"


use rule describe_collection as describe_benchmark with:
    input:
        network="<results>/{system}/network.h5",
        collection="<results>/benchmarks/{benchmark}/collection.h5",
        truth="<results>/benchmarks/{benchmark}/truth.h5",
    output:
        descriptors="<results>/{system}/descriptors/{benchmark}.h5",
    log:
        "<logs>/describe/{system}/{benchmark}.log",
    benchmark:
        "<timings>/describe/{system}/{benchmark}.tsv"
    params:
        settings=description_settings,
        threads=config["threads"],
        device=config["device"],
        digest=digest("describe_collection"),
    message:
        "descriptors: benchmark {wildcards.benchmark} by {wildcards.system}"
