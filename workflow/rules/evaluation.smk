"""The table: every system on every benchmark and on validation, with intervals."""


rule evaluate_systems:
    input:
        validations=expand("<results>/pairs/{source}/validation.h5", source=VALIDATIONS.values()),
        truths=expand("<results>/benchmarks/{benchmark}/truth.h5", benchmark=BENCHMARKS),
        collections=expand("<results>/benchmarks/{benchmark}/collection.h5", benchmark=BENCHMARKS),
        rankings=expand("<results>/retrieval/{benchmark}.h5", benchmark=BENCHMARKS if INDEXED else []),
        histories=expand("<results>/experiments/{experiment}/history.h5", experiment=EXPERIMENTS),
        learned=list(LEARNED.values()),
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
            photos=[*VALIDATIONS, *BENCHMARKS],
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
        steps=[steps_of(system) for system in SYSTEMS.values()],
        learned=list(LEARNED),
        validation_of=[VALIDATION_OF[name] for name in SYSTEMS],
        validations=list(VALIDATIONS),
        pairings=PAIRINGS,
        benchmarks=BENCHMARKS,
        settings=settings("evaluation"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("evaluate_systems"),
    message:
        "evaluation: the table"
    script:
        "../scripts/evaluate_systems.py"
