"""The pairs of every source that an experiment names (`bow2cnn.pairs.sources`): positives, negatives, and the truth of validation."""


rule find_pairs:
    input:
        unpack(needs_of_source),
        given=ancient(given_of_source),
    output:
        positives="<results>/pairs/{source}/positives.h5",
        negatives="<results>/pairs/{source}/negatives.h5",
        validation="<results>/pairs/{source}/validation.h5",
    log:
        "<logs>/find_pairs/{source}.log",
    benchmark:
        "<timings>/find_pairs/{source}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory_of_source,
    params:
        function=lambda wildcards: PAIR_SOURCES[wildcards.source].function,
        settings=settings_of_source,
        given=keys_of_source,
        content=content_of_source,
        threads=config["threads"],
        digest=digest_of_source,
    message:
        "pairs: source {wildcards.source}"
    script:
        "../scripts/find_pairs.py"
