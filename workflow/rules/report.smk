"""The report: one page about the whole run, and a page for every 3D model."""


rule write_report:
    input:
        collection="<results>/collection/collection.h5",
        watermarks=of_index("<results>/index/watermarks.h5"),
        words=of_index(expand("<results>/words/shard-{shard}.h5", shard=PHOTO_SHARDS)),
        features=of_index(expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS)),
        graph=of_teacher("<results>/clustering/graph.h5"),
        clusters=of_teacher("<results>/clustering/clusters.h5"),
        models=of_models("<results>/reconstruction/models.h5"),
        split=of_models("<results>/split/split.h5"),
        positives=expand("<results>/pairs/{source}/positives.h5", source=SOURCES),
        negatives=expand("<results>/pairs/{source}/negatives.h5", source=SOURCES),
        validation=expand("<results>/pairs/{source}/validation.h5", source=SOURCES),
        history=expand("<results>/experiments/{experiment}/history.h5", experiment=EXPERIMENTS),
        table="<results>/evaluation.csv",
        gains="<results>/evaluation/gains.json",
        benchmark_photos=expand("<results>/benchmarks/{benchmark}/collection.h5", benchmark=BENCHMARKS),
        truth=expand("<results>/benchmarks/{benchmark}/truth.h5", benchmark=BENCHMARKS),
        rankings=expand(
            "<results>/evaluation/rankings-{photos}.h5",
            photos=[*VALIDATIONS, *BENCHMARKS],
        ),
    output:
        page=report("<results>/report.html", caption="../report/page.rst", category="Report"),
    log:
        "<logs>/write_report/all.log",
    benchmark:
        "<timings>/write_report/all.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000 + DECODING, watermarks=2),
    params:
        experiments=EXPERIMENTS,
        benchmarks=BENCHMARKS,
        pairings=PAIRINGS,
        pairs=SOURCES,
        sources={name: source_of(name) for name in EXPERIMENTS},
        validations=VALIDATIONS,
        config=config,
        digest=digest("write_report"),
    message:
        "report: writing the page"
    script:
        "../scripts/write_report.py"


rule write_pages:
    input:
        collection="<results>/collection/collection.h5",
        graph="<results>/clustering/graph.h5",
        clusters="<results>/clustering/clusters.h5",
        models="<results>/reconstruction/models.h5",
        split="<results>/split/split.h5",
        features=expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS),
    output:
        pages=directory("<results>/reconstruction/pages"),
    log:
        "<logs>/write_pages/all.log",
    benchmark:
        "<timings>/write_pages/all.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000 + DECODING, graph=2, models=4),
    params:
        digest=digest("write_pages"),
    message:
        "report: a page for every 3D model"
    script:
        "../scripts/write_pages.py"
