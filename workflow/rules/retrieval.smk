"""The teacher: how many inliers a verified photo needs, and its rankings of the benchmarks."""


rule calibrate_verification:
    input:
        index="<results>/index/index.h5",
        features=expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS),
    output:
        verification="<results>/index/verification.h5",
    log:
        "<logs>/calibrate_verification/all.log",
    benchmark:
        "<timings>/calibrate_verification/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000, index=0.5),
    params:
        settings=settings("retrieval", "soft_words", "shortlist", "max_hamming", "min_inliers"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("calibrate_verification"),
    message:
        "index: calibrating how many inliers a verified photo needs"
    script:
        "../scripts/calibrate_verification.py"


rule rank_benchmark:
    input:
        vocabulary="<results>/vocabulary/vocabulary.h5",
        collection="<results>/benchmarks/{benchmark}/collection.h5",
        features="<results>/benchmarks/{benchmark}/features.h5",
        truth="<results>/benchmarks/{benchmark}/truth.h5",
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
        settings=settings("retrieval") | settings("watermarks"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("rank_benchmark"),
    message:
        "retrieval: the teacher on benchmark {wildcards.benchmark}"
    script:
        "../scripts/rank_benchmark.py"
