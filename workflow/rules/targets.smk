"""The stages by name: the files that `snakemake --cores all NAME` makes. All stages begin with the scan of the photo folders."""


rule collection:
    input:
        after_scan(
            *LISTS,
            *expand("<results>/benchmarks/{benchmark}/collection.h5", benchmark=BENCHMARKS),
        ),


rule features:
    input:
        after_scan(
            *expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS),
            *expand("<results>/benchmarks/{benchmark}/features.h5", benchmark=BENCHMARKS),
        ),


rule vocabulary:
    input:
        after_scan("<results>/vocabulary/vocabulary.h5"),


rule index:
    input:
        after_scan("<results>/index/index.h5", "<results>/index/verification.h5"),


rule retrieval:
    input:
        after_scan(*expand("<results>/retrieval/{benchmark}.h5", benchmark=BENCHMARKS)),


rule clustering:
    input:
        after_scan("<results>/clustering/clusters.h5"),


rule reconstruction:
    input:
        after_scan("<results>/reconstruction/models.h5"),


rule split:
    input:
        after_scan("<results>/split/split.h5"),


rule pairs:
    input:
        after_scan(*expand("<results>/pairs/{source}/positives.h5", source=SOURCES)),


rule training:
    input:
        after_scan(*expand("<results>/{system}/network.h5", system=SYSTEMS.values())),


rule whitening:
    input:
        after_scan(*(path for (_, step), path in LEARNED.items() if STEPS[step].learned == "whitening")),


rule evaluation:
    input:
        after_scan("<results>/evaluation.csv"),


rule report:
    input:
        after_scan(*REPORT),
