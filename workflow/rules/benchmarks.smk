"""The photos and the ground truth of each benchmark."""


rule read_benchmark:
    input:
        gnd=ancient(source_gnd),
        seen=seen_of_benchmark,
    output:
        collection="<results>/benchmarks/{benchmark}/collection.h5",
        truth="<results>/benchmarks/{benchmark}/truth.h5",
    log:
        "<logs>/read_benchmark/{benchmark}.log",
    benchmark:
        "<timings>/read_benchmark/{benchmark}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
    params:
        photos=lookup("benchmarks/{benchmark}/photos", within=config),
        distractors=lookup("benchmarks/{benchmark}/distractors", within=config),
        settings=settings("collection"),
        gnd=content_of_gnd,
        digest=digest("read_benchmark"),
    message:
        "collection: photos of benchmark {wildcards.benchmark}"
    script:
        "../scripts/read_benchmark.py"
