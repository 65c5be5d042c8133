"""The whitening of each network, and the one with which the projection of an experiment's network starts."""


rule learn_whitening:
    input:
        unpack(pairs_of_system),
        descriptors="<results>/{system}/descriptors/collection.h5",
    output:
        whitening="<results>/{system}/whitening.h5",
    log:
        "<logs>/learn_whitening/{system}.log",
    benchmark:
        "<timings>/learn_whitening/{system}.tsv"
    conda:
        "../../envs/network.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(6000, descriptors=4),
    params:
        settings=whitening_settings,
        threads=config["threads"],
        digest=digest("learn_whitening"),
    message:
        "whitening: {wildcards.system}"
    script:
        "../scripts/learn_whitening.py"


use rule learn_whitening as learn_projection with:
    input:
        unpack(pairs_of_experiment),
        descriptors=descriptors_of_start,
    output:
        whitening="<results>/experiments/{experiment}/projection.h5",
    log:
        "<logs>/learn_projection/{experiment}.log",
    benchmark:
        "<timings>/learn_projection/{experiment}.tsv"
    params:
        settings=projection_settings,
        threads=config["threads"],
        digest=digest("learn_whitening"),
    message:
        "projection: of experiment {wildcards.experiment}"
