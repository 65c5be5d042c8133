"""The table: every system on every benchmark and on validation, with intervals."""


rule evaluate_systems:
    input:
        pairs="<results>/pairs/pairs.h5",
        gnd=ancient(GND),
        collections=expand("<results>/benchmarks/{benchmark}/collection.h5", benchmark=BENCHMARKS),
        rankings=expand("<results>/retrieval/{benchmark}.h5", benchmark=BENCHMARKS if TEACHER else []),
        histories=expand("<results>/experiments/{experiment}/history.h5", experiment=EXPERIMENTS),
        whitenings=expand("<results>/{system}/whitening.h5", system=SYSTEMS.values()),
        descriptors=expand(
            "<results>/{system}/descriptors/{photos}.h5",
            system=SYSTEMS.values(),
            photos=["collection", *BENCHMARKS],
        ),
    output:
        table=report(
            "<results>/evaluation.csv",
            caption="../report/table.rst",
            category="Evaluation",
        ),
        gains="<results>/evaluation/gains.json",
        rankings=expand(
            "<results>/evaluation/rankings-{photos}.h5",
            photos=["validation", *BENCHMARKS],
        ),
    log:
        "<logs>/evaluate_systems/all.log",
    benchmark:
        "<timings>/evaluate_systems/all.tsv"
    conda:
        "../../envs/network.yaml"
    threads: config["threads"]
    resources:
        mem_mb=memory(6000, descriptors=2),
    params:
        systems=list(SYSTEMS),
        pairings=PAIRINGS,
        benchmarks=BENCHMARKS,
        photos=[config["benchmarks"][name]["photos"] for name in BENCHMARKS],
        settings=settings("evaluation"),
        seed=config["seed"],
        threads=config["threads"],
        gnd=content(*GND),
        digest=digest("evaluate_systems"),
    message:
        "evaluate: the table"
    script:
        "../scripts/evaluate_systems.py"
