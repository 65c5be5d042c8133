"""3D models: those of the clusters (the number of a COLMAP folder is that of the job), or those of the user."""

from bow2cnn.reconstruction.folders import model_files

if config["models"] is None:

    rule reconstruct_clusters:
        input:
            clusters="<results>/clustering/clusters.h5",
            graph="<results>/clustering/graph.h5",
            features=expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS),
            collection="<results>/collection/collection.h5",
        output:
            models=temp("<results>/reconstruction/shard-{part}.h5"),
            colmap=directory("<results>/reconstruction/colmap-{part}"),
        log:
            "<logs>/reconstruct_clusters/{part}.log",
        benchmark:
            "<timings>/reconstruct_clusters/{part}.tsv"
        conda:
            "../../envs/geometry.yaml"
        # Every cluster is mapped on one thread, so the seed determines its models.
        threads: 1
        resources:
            mem_mb=memory(4000 + DECODING, graph=2),
        params:
            shards=len(CLUSTER_SHARDS),
            settings=settings("reconstruction"),
            seed=config["seed"],
            digest=digest("reconstruct_clusters"),
        message:
            "reconstruction: clusters of shard {wildcards.part}"
        script:
            "../scripts/reconstruct_clusters.py"

    rule gather_models:
        input:
            models=expand("<results>/reconstruction/shard-{part}.h5", part=CLUSTER_SHARDS),
            collection="<results>/collection/collection.h5",
        output:
            models="<results>/reconstruction/models.h5",
        log:
            "<logs>/gather_models/all.log",
        benchmark:
            "<timings>/gather_models/all.tsv"
        conda:
            "../../envs/geometry.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000, models=4),
        params:
            digest=digest("gather_models"),
        message:
            "reconstruction: gathering the models of all shards"
        script:
            "../scripts/gather_models.py"

else:

    rule read_models:
        input:
            files=ancient(model_files(config["models"])),
            collection="<results>/collection/collection.h5",
        output:
            models="<results>/reconstruction/models.h5",
        log:
            "<logs>/read_models/all.log",
        benchmark:
            "<timings>/read_models/all.tsv"
        conda:
            "../../envs/geometry.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000, files=10),
        params:
            folder=config["models"],
            min_photos=config["reconstruction"]["min_photos"],
            files=content(*model_files(config["models"])),
            digest=digest("read_models"),
        message:
            "reconstruction: reading the models in {params.folder}"
        script:
            "../scripts/read_models.py"
