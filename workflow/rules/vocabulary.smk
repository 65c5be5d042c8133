"""The visual vocabulary, trained on a sample of all features."""


rule train_vocabulary:
    input:
        # More photos are no reason for other words; other features are.
        features=ancient(expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS)),
    output:
        vocabulary="<results>/vocabulary/vocabulary.h5",
    log:
        "<logs>/train_vocabulary/all.log",
    benchmark:
        "<timings>/train_vocabulary/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000),
    params:
        settings=settings("vocabulary"),
        of_features=settings("features") | {"digest": digest("extract_features")},
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("train_vocabulary"),
    message:
        "vocabulary: clustering the features into words"
    script:
        "../scripts/train_vocabulary.py"
