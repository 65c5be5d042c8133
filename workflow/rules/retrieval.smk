"""The teacher on the benchmarks: bag of words, with spatial verification, with query expansion."""


rule rank_benchmark:
    input:
        vocabulary="<results>/vocabulary/vocabulary.h5",
        collection="<results>/benchmarks/{benchmark}/collection.h5",
        features="<results>/benchmarks/{benchmark}/features.h5",
        gnd=source_gnd,
    output:
        ranking="<results>/retrieval/{benchmark}.h5",
    log:
        "<logs>/rank_benchmark/{benchmark}.log",
    benchmark:
        "<timings>/rank_benchmark/{benchmark}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000),
    params:
        settings=settings("retrieval") | settings("marks"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("rank_benchmark"),
    message:
        "retrieval: the teacher on benchmark {wildcards.benchmark}"
    script:
        "../scripts/rank_benchmark.py"
