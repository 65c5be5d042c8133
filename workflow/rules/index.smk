"""The index: the words of every photo, the features on watermarks, the inverted and the forward file."""


rule quantise_words:
    input:
        collection="<results>/collection/shard-{shard}.h5",
        features="<results>/features/shard-{shard}.h5",
        vocabulary="<results>/vocabulary/vocabulary.h5",
    output:
        words=update("<results>/words/shard-{shard}.h5"),
    log:
        "<logs>/quantise_words/{shard}.log",
    benchmark:
        "<timings>/quantise_words/{shard}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000),
    params:
        threads=config["threads"],
        digest=digest("quantise_words"),
    message:
        "index: words of shard {wildcards.shard}"
    script:
        "../scripts/quantise_words.py"


rule find_watermarks:
    input:
        collection="<results>/collection/collection.h5",
        words=expand("<results>/words/shard-{shard}.h5", shard=PHOTO_SHARDS),
    output:
        watermarks="<results>/index/watermarks.h5",
    log:
        "<logs>/find_watermarks/all.log",
    benchmark:
        "<timings>/find_watermarks/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000, words=0.2),
    params:
        settings=settings("watermarks") | settings("retrieval", "max_hamming"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("find_watermarks"),
    message:
        "index: finding the features on watermarks"
    script:
        "../scripts/find_watermarks.py"


rule build_index:
    input:
        collection="<results>/collection/collection.h5",
        words=expand("<results>/words/shard-{shard}.h5", shard=PHOTO_SHARDS),
        watermarks="<results>/index/watermarks.h5",
        vocabulary="<results>/vocabulary/vocabulary.h5",
    output:
        index="<results>/index/index.h5",
    log:
        "<logs>/build_index/all.log",
    benchmark:
        "<timings>/build_index/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000),
    params:
        threads=config["threads"],
        digest=digest("build_index"),
    message:
        "index: inverted and forward file"
    script:
        "../scripts/build_index.py"
