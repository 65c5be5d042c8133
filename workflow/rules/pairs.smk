"""The training database: queries, their positives with the evidence, and who may be a negative of whom."""

if config["database"] is None:

    rule mine_pairs:
        input:
            models="<results>/models/models.h5",
            split="<results>/split/split.h5",
            graph=of_teacher("<results>/discovery/graph.h5"),
            clusters=of_teacher("<results>/discovery/clusters.h5"),
            index=of_teacher("<results>/index/index.h5"),
        output:
            pairs="<results>/pairs/pairs.h5",
        log:
            "<logs>/mine_pairs/all.log",
        benchmark:
            "<timings>/mine_pairs/all.tsv"
        conda:
            "../../envs/geometry.yaml"
        threads: config["threads"]
        resources:
            mem_mb=memory(4000, index=0.5, models=4),
        params:
            settings=settings("pairs") | settings("split", "validation") | settings("retrieval", "shortlist", "max_hamming"),
            seed=config["seed"],
            threads=config["threads"],
            digest=digest("mine_pairs"),
        message:
            "pairs: mining the training database"
        script:
            "../scripts/mine_pairs.py"

else:

    rule read_database:
        input:
            database=ancient(config["database"]),
            collection="<results>/collection/collection.h5",
        output:
            pairs="<results>/pairs/pairs.h5",
        log:
            "<logs>/read_database/all.log",
        benchmark:
            "<timings>/read_database/all.tsv"
        conda:
            "../../envs/geometry.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000, database=20),
        params:
            database=content(config["database"]),
            digest=digest("read_database"),
        message:
            "pairs: reading {input.database}"
        script:
            "../scripts/read_database.py"
