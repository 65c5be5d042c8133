"""Local features, per shard and per benchmark."""


rule extract_features:
    input:
        collection="<results>/collection/shard-{shard}.h5",
    output:
        features=update("<results>/features/shard-{shard}.h5"),
    log:
        "<logs>/extract_features/{shard}.log",
    benchmark:
        "<timings>/extract_features/{shard}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000 + config["threads"] * (DECODING + SEARCHING)),
    params:
        settings=settings("features"),
        digest=digest("extract_features"),
    message:
        "features: shard {wildcards.shard}"
    script:
        "../scripts/extract_features.py"


use rule extract_features as extract_benchmark_features with:
    input:
        collection="<results>/benchmarks/{benchmark}/collection.h5",
    output:
        features="<results>/benchmarks/{benchmark}/features.h5",
    log:
        "<logs>/extract_features/{benchmark}.log",
    benchmark:
        "<timings>/extract_features/{benchmark}.tsv"
    message:
        "features: benchmark {wildcards.benchmark}"
