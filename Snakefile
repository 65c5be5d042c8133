"""From a folder of photos to 3D models, training pairs and a fine-tuned retrieval network.

`snakemake --cores all` runs everything, `snakemake --cores all features` one stage (the names are in `workflow/rules/targets.smk`).
"""

import json
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.19")

# The package is found without an installation, here and in the jobs (which may run in conda environments).
sys.path.insert(0, f"{workflow.basedir}/src")
os.environ.update(PYTHONPATH=os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))

from bow2cnn.config.load import check_files, load
from bow2cnn.config.messages import ConfigError
from bow2cnn.core.run_lock import LockError, acquire_run_lock

# Snakemake merges config files key by key. So config.yaml is read only without --configfile; otherwise settings of the demo would reach a
# run of the user.
if not workflow.configfiles:

    configfile: f"{workflow.basedir}/config.yaml"


try:
    check_files(workflow.configfiles)
    config = load(config)
except ConfigError as error:
    sys.exit(f"config: {error}")


# For the jobs: they hold a lock in the results folder while they work, and open only photos in these folders.
os.environ.update(
    BOW2CNN_RESULTS=config["results"],
    BOW2CNN_PHOTOS=json.dumps(
        [*config["photos"], *(path for b in config["benchmarks"].values() for path in [b["photos"], *b["distractors"]])]
    ),
    BOW2CNN_FOLLOW_LINKS="yes" if config["collection"]["follow_links"] else "",
)


pathvars:
    results=config["results"],
    logs=f"{config['results']}/logs",
    timings=f"{config['results']}/timings",


report: "workflow/report/workflow.rst"


# Replaces Snakemake's own lock, which stays after a killed run (so the profiles have `nolock`).
onstart:
    try:
        acquire_run_lock(config["results"])
    except LockError as error:
        sys.exit(str(error))


# If a run is killed between the end of a stage and the deletion of its temporary files, Snakemake never deletes them.
onsuccess:
    drop_gathered_shards()
    tell_left_out()


include: "workflow/rules/memory_and_gpus.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/collection.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/vocabulary.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/retrieval.smk"
include: "workflow/rules/clustering.smk"
include: "workflow/rules/reconstruction.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/descriptors.smk"
include: "workflow/rules/whitening.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        after_scan(*REPORT, "<results>/evaluation.csv"),
