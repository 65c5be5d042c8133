"""The stages by name: what `snakemake --cores all NAME` makes. All of them begin with the scan of the photo folders."""


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


rule clusters:
    input:
        after_scan("<results>/discovery/clusters.h5"),


rule models:
    input:
        after_scan("<results>/models/models.h5"),


rule split:
    input:
        after_scan("<results>/split/split.h5"),


rule pairs:
    input:
        after_scan(*expand("<results>/pairs/{source}/positives.h5", source=SOURCES)),


rule train:
    input:
        after_scan(*expand("<results>/{system}/network.h5", system=SYSTEMS.values())),


rule whiten:
    input:
        after_scan(*expand("<results>/{system}/whitening.h5", system=SYSTEMS.values())),


rule evaluate:
    input:
        after_scan("<results>/evaluation.csv"),


rule report:
    input:
        after_scan(*REPORT),
