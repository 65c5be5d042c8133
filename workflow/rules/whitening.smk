"""The whitening of each network."""


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
