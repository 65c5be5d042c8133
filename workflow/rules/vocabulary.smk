"""The visual vocabulary, trained on a sample of all features."""


# The vocabulary is trained again if the settings of the features change, but not if there are more photos. So the features are `ancient`
# inputs. Snakemake then ignores changes of the jobs that make them. So this file holds everything that must train the vocabulary again.
rule note_recipe:
    output:
        recipe="<results>/vocabulary/recipe.json",
    log:
        "<logs>/note_recipe/all.log",
    benchmark:
        "<timings>/note_recipe/all.tsv"
    localrule: True
    conda:
        "../../envs/geometry.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
    params:
        recipe={
            "features": settings("features"),
            "vocabulary": settings("vocabulary"),
            "seed": config["seed"],
            "threads": config["threads"],
            "code": [digest("extract_features"), digest("train_vocabulary")],
        },
    message:
        "vocabulary: noting its recipe"
    script:
        "../scripts/note_recipe.py"


rule train_vocabulary:
    input:
        recipe="<results>/vocabulary/recipe.json",
        features=ancient(expand("<results>/features/shard-{shard}.h5", shard=PHOTO_SHARDS)),
    output:
        vocabulary="<results>/vocabulary/vocabulary.h5",
    log:
        "<logs>/train_vocabulary/all.log",
    benchmark:
        "<timings>/train_vocabulary/all.tsv"
    conda:
        "../../envs/geometry.yaml"
    threads: config["threads"]
    resources:
        # The sample, its sorted copy, and a part of it for k-means. A feature takes 152 bytes of the input.
        mem_mb=memory(4000, at_most=400 * config["vocabulary"]["sample"] / 1e6, features=400 / 152),
    params:
        settings=settings("vocabulary"),
        seed=config["seed"],
        threads=config["threads"],
        digest=digest("train_vocabulary"),
    message:
        "vocabulary: clustering the features into words"
    script:
        "../scripts/train_vocabulary.py"
