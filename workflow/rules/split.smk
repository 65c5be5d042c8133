"""The split of the models into training and validation. Models that show a place of a benchmark are dropped."""


rule find_contamination:
    input:
        index="<results>/index/index.h5",
        vocabulary="<results>/vocabulary/vocabulary.h5",
        collection="<results>/benchmarks/{benchmark}/collection.h5",
        features="<results>/benchmarks/{benchmark}/features.h5",
    output:
        ranking="<results>/split/contamination-{benchmark}.h5",
    log:
        "<logs>/find_contamination/{benchmark}.log",
    benchmark:
        "<timings>/find_contamination/{benchmark}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000, index=0.5),
    params:
        settings=settings("retrieval", "shortlist", "max_hamming") | {"min_inliers": config["split"]["contamination_inliers"]},
        threads=config["threads"],
        digest=digest("find_contamination"),
    message:
        "split: finding photos that show a place of benchmark {wildcards.benchmark}"
    script:
        "../scripts/find_contamination.py"


rule split_models:
    input:
        models="<results>/reconstruction/models.h5",
        graph=of_teacher("<results>/clustering/graph.h5"),
        clusters=of_teacher("<results>/clustering/clusters.h5"),
        contaminations=expand("<results>/split/contamination-{benchmark}.h5", benchmark=BENCHMARKS),
    output:
        split="<results>/split/split.h5",
    log:
        "<logs>/split_models/all.log",
    benchmark:
        "<timings>/split_models/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, models=4, graph=2),
    params:
        benchmarks=BENCHMARKS,
        settings=settings("split", "validation"),
        seed=config["seed"],
        digest=digest("split_models"),
    message:
        "split: training and validation models"
    script:
        "../scripts/split_models.py"
