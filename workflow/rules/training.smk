"""The networks: off the shelf, and fine-tuned by each experiment."""


rule start_network:
    input:
        weights=ancient(given_weights),
    output:
        network="<results>/networks/{network}/network.h5",
    log:
        "<logs>/start_network/{network}.log",
    benchmark:
        "<timings>/start_network/{network}.tsv"
    conda:
        "../../envs/network.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, weights=4),
    params:
        network=lambda wildcards: NETWORKS[wildcards.network]["network"],
        pooling=lambda wildcards: NETWORKS[wildcards.network]["pooling"],
        weights=content_of_weights,
        digest=digest("start_network"),
    message:
        "training: {wildcards.network} off the shelf"
    script:
        "../scripts/start_network.py"


rule train_network:
    input:
        unpack(pairs_of_experiment),
        collection="<results>/collection/collection.h5",
        network=start_of_experiment,
        projection=projection_of_experiment,
    output:
        network="<results>/experiments/{experiment}/network.h5",
        history="<results>/experiments/{experiment}/history.h5",
    log:
        "<logs>/train_network/{experiment}.log",
    benchmark:
        "<timings>/train_network/{experiment}.tsv"
    # The longest job, so it starts as early as possible.
    priority: 100
    conda:
        "../../envs/network.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(4000 + config["threads"] * DECODING, collection=40, network=12),
        gpu=GPU,
    params:
        settings=training_settings,
        seed=training_seed,
        threads=config["threads"],
        device=config["device"],
        digest=digest("train_network"),
    message:
        "training: experiment {wildcards.experiment}"
    script:
        "../scripts/train_network.py"
