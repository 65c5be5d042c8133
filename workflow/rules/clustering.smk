"""Clustering: seeds by min-hash, the graph of verified pairs grown from them, clusters cut from the graph."""


rule collide_sketches:
    input:
        index="<results>/index/index.h5",
    output:
        collisions="<results>/clustering/collisions-{part}.h5",
    log:
        "<logs>/collide_sketches/{part}.log",
    benchmark:
        "<timings>/collide_sketches/{part}.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(3000, index=0.3),
    params:
        parts=len(SKETCH_SHARDS),
        settings=settings("clustering", "sketch_size", "sketches", "min_similarity"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("collide_sketches"),
    message:
        "clustering: pairs of photos with a common sketch, part {wildcards.part}"
    script:
        "../scripts/collide_sketches.py"


rule find_seeds:
    input:
        index="<results>/index/index.h5",
        collisions=expand("<results>/clustering/collisions-{part}.h5", part=SKETCH_SHARDS),
        verification="<results>/index/verification.h5",
    output:
        seeds="<results>/clustering/seeds.h5",
    log:
        "<logs>/find_seeds/all.log",
    benchmark:
        "<timings>/find_seeds/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(3000, index=0.5, collisions=6),
    params:
        settings=settings("retrieval", "max_hamming"),
        threads=config["threads"],
        digest=digest("find_seeds"),
    message:
        "clustering: verifying the pairs with a common sketch"
    script:
        "../scripts/find_seeds.py"


rule grow_graph:
    input:
        index="<results>/index/index.h5",
        seeds="<results>/clustering/seeds.h5",
        features=expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS),
    output:
        graph=update("<results>/clustering/graph.h5"),
    log:
        "<logs>/grow_graph/all.log",
    benchmark:
        "<timings>/grow_graph/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(8000, index=0.5),
    params:
        settings=settings(
            "clustering", "orphan_shortlist", "view_shortlist", "neighbour_shortlist", "min_word_inliers", "min_inliers"
        )
        | settings("retrieval", "shortlist", "max_hamming"),
        threads=config["threads"],
        digest=digest("grow_graph"),
    message:
        "clustering: growing the graph of verified pairs"
    script:
        "../scripts/grow_graph.py"


rule cut_clusters:
    input:
        graph="<results>/clustering/graph.h5",
    output:
        clusters="<results>/clustering/clusters.h5",
    log:
        "<logs>/cut_clusters/all.log",
    benchmark:
        "<timings>/cut_clusters/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("clustering", "min_bridge_inliers", "min_photos"),
        digest=digest("cut_clusters"),
    message:
        "clustering: cutting the graph into clusters"
    script:
        "../scripts/cut_clusters.py"
