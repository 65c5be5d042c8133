"""Whitening learned for each network, and the descriptors of the collection and of the benchmarks."""


rule learn_whitening:
    input:
        unpack(pairs_of_system),
        descriptors="<results>/{system}/descriptors/collection.h5",
    output:
        whitening="<results>/{system}/whitening.h5",
    log:
        "<logs>/learn_whitening/{system}.log",
    benchmark:
        "<timings>/learn_whitening/{system}.tsv"
    conda:
        "../../envs/network.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(6000, descriptors=4),
    params:
        settings=whitening_settings,
        threads=config["threads"],
        digest=digest("learn_whitening"),
    message:
        "whiten: {wildcards.system}"
    script:
        "../scripts/learn_whitening.py"


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
        settings=settings("description"),
        threads=config["threads"],
        device=config["device"],
        digest=digest("describe_collection"),
    message:
        "evaluate: descriptors of the collection by {wildcards.system}"
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
        settings=settings("description"),
        threads=config["threads"],
        device=config["device"],
        digest=digest("describe_collection"),
    message:
        "evaluate: descriptors of benchmark {wildcards.benchmark} by {wildcards.system}"
