"""What the rules share: the shards, benchmarks and systems of the run, and all functions. The rules themselves stay declarative."""

import math
import re

from bow2cnn.config.experiment import Experiment
from bow2cnn.core.code_digest import digest as digest_of_code
from bow2cnn.core.user_files import content_of
from bow2cnn.descriptors.steps import STEPS
from bow2cnn.pairs.sources import SOURCES as PAIR_SOURCES

PHOTO_SHARDS = [f"{shard:03d}" for shard in range(config["shards"]["photos"])]
SKETCH_SHARDS = [f"{shard:02d}" for shard in range(config["shards"]["sketches"])]
CLUSTER_SHARDS = [f"{shard:02d}" for shard in range(config["shards"]["clusters"])]
# The source of pairs for experiments that name none: the database of the user, or 3D models (made by the run or by the user).
MAIN_SOURCE = "models" if config["database"] is None else "database"


def source_of(experiment):
    """The source of an experiment's pairs."""
    return config["experiments"][experiment]["pairs"]["source"] or MAIN_SOURCE


# The sources of the run. Without experiments it is the main one.
SOURCES = sorted({source_of(name) for name in config["experiments"]} or {MAIN_SOURCE})
# Whether the run itself makes clusters and 3D models. Otherwise no experiment needs them, or the user has models.
TEACHER = "models" in SOURCES and config["models"] is None
# Whether the pairs need the index. Then it ranks the benchmarks too.
INDEXED = any("index" in PAIR_SOURCES[name].needs + (PAIR_SOURCES[name].needs_of_teacher if TEACHER else ()) for name in SOURCES)
BENCHMARKS = list(config["benchmarks"])
REPORT = ["<results>/report.html", *(["<results>/reconstruction/pages"] if TEACHER else [])]
EXPERIMENTS = list(config["experiments"])


# Names of networks and validations leave out this source: the main one if the run has it, else the first.
PLAIN_SOURCE = MAIN_SOURCE if MAIN_SOURCE in SOURCES else SOURCES[0]


def with_source(name, source):
    """A name, followed by the source unless it is the plain one."""
    return name if source == PLAIN_SOURCE else f"{name}-{source}"


def description_of(experiment):
    """How an experiment describes photos at test time."""
    test = config["experiments"][experiment]["test"]
    return {"image_size": test["image_size"], "scales": test["scales"]}


def untrained(experiment):
    """An experiment's network before training, and its pairs: the backbone (`timm-NAME` for one of timm's), the pooling where it is not
    GeM, and the source of the pairs where it is not the plain one, because the pairs decide on the whitening and on the photos that are
    described.
    """
    settings = config["experiments"][experiment]
    network = settings["network"].replace(":", "-")
    pooled = network if settings["pooling"] == "gem" else f"{network}-{settings['pooling']}"
    return with_source(pooled, source_of(experiment))


def off_the_shelf(experiment):
    """Name of the network off the shelf that an experiment is compared with. Both describe photos in the same way: where that is not the
    way of the first experiment with this network, the size or the scales are part of the name.
    """
    network, own = untrained(experiment), description_of(experiment)
    first = description_of(next(name for name in EXPERIMENTS if untrained(name) == network))
    size = f"-{own['image_size']}px" if own["image_size"] != first["image_size"] else ""
    scales = "-".join(str(scale).removesuffix(".0") for scale in own["scales"])
    return f"{network}{size}{f'-scales-{scales}' if own['scales'] != first['scales'] else ''}"


def experiments_of(system):
    """The experiments that the folder of a system belongs to: its own one, or all that are compared with this network off the shelf."""
    folder, name = system.split("/")
    return [name] if folder == "experiments" else [one for one in EXPERIMENTS if off_the_shelf(one) == name]


def steps_of(system):
    """The lists of steps after the descriptor that a system is measured with."""
    lists = [config["experiments"][name]["test"]["steps"] for name in experiments_of(system)]
    return [steps for number, steps in enumerate(lists) if steps not in lists[:number]]


# Off the shelf, every network stands beside the experiments that fine-tune it.
NETWORKS = {off_the_shelf(name): config["experiments"][name] for name in EXPERIMENTS}
# The validations, on which networks are chosen: name in the table to the source of its truth.
VALIDATIONS = {with_source("validation", source): source for source in SOURCES}
# The rows of the table (besides the teacher's) and the folders of their files.
SYSTEMS = {f"off-the-shelf:{name}": f"networks/{name}" for name in NETWORKS} | {
    name: f"experiments/{name}" for name in EXPERIMENTS
}
# On which validation a system is measured.
VALIDATION_OF = {name: with_source("validation", source_of(experiments_of(system)[0])) for name, system in SYSTEMS.items()}
# The artefacts that steps learn: (system, step) to the file.
LEARNED = {
    (name, step): f"<results>/{system}/{STEPS[step].learned}.h5"
    for name, system in SYSTEMS.items()
    for step in dict.fromkeys(step for steps in steps_of(system) for step in steps)
    if STEPS[step].learned
}
# The row with which an experiment is compared.
PAIRINGS = {name: f"off-the-shelf:{off_the_shelf(name)}" for name in EXPERIMENTS}


# Wildcards take only known values, so the pattern of one rule cannot match the files of another ("$^" matches nothing).
wildcard_constraints:
    shard=r"\d{3,6}",
    part=r"\d{2,6}",
    benchmark="|".join(BENCHMARKS) or "$^",
    network="|".join(map(re.escape, NETWORKS)) or "$^",
    experiment="|".join(EXPERIMENTS) or "$^",
    system="|".join(map(re.escape, SYSTEMS.values())) or "$^",
    source="|".join(SOURCES),


def settings(section, *keys):
    """These keys of a section of the config (all by default). A rule names the keys that it uses, and reruns if one of them changes."""
    return {key: config[section][key] for key in keys or config[section]}


def digest(script):
    """Digest of the package's modules and of the libraries that a script uses (Snakemake itself tracks only the script)."""
    return digest_of_code(f"{workflow.basedir}/workflow/scripts/{script}.py")


def planning():
    """Whether Snakemake only plans (a dry run, a graph, a report of existing files) and runs no job."""
    return workflow.executor_plugin is None or workflow.dryrun or workflow.touch


def after_scan(*paths):
    """Input of a stage's target: these files, planned after the scan.

    A dry run plans from the last scan.
    """

    def inputs(wildcards):
        if not planning():
            checkpoints.scan.get()
        return paths

    return inputs


def of_teacher(paths):
    """Files of clusters and the run's own 3D models; nothing if the run does not make them."""
    return paths if TEACHER else []


def of_models(paths):
    """Files of 3D models; nothing if no pairs come from models."""
    return paths if "models" in SOURCES else []


def of_index(paths):
    """Files of the index; nothing if no pairs need it."""
    return paths if INDEXED else []


def source_of_system(wildcards):
    """The source of a system's pairs."""
    return source_of(experiments_of(wildcards.system)[0])


def pairs_of(source):
    """The artefacts of a source of pairs, as named inputs."""
    return {name: f"<results>/pairs/{source}/{name}.h5" for name in ("positives", "negatives", "validation")}


def pairs_of_experiment(wildcards):
    return pairs_of(source_of(wildcards.experiment))


def pairs_of_system(wildcards):
    return pairs_of(source_of_system(wildcards))


def negatives_of_system(wildcards):
    return pairs_of_system(wildcards)["negatives"]


# The possible inputs of a source of pairs, by the names that `bow2cnn.pairs.sources` uses.
ARTEFACTS = {
    "collection": "<results>/collection/collection.h5",
    "index": "<results>/index/index.h5",
    "graph": "<results>/clustering/graph.h5",
    "clusters": "<results>/clustering/clusters.h5",
    "models": "<results>/reconstruction/models.h5",
    "split": "<results>/split/split.h5",
    "contaminations": [f"<results>/split/contamination-{name}.h5" for name in BENCHMARKS],
}


def needs_of_source(wildcards):
    source = PAIR_SOURCES[wildcards.source]
    return {name: ARTEFACTS[name] for name in source.needs + (source.needs_of_teacher if TEACHER else ())}


def keys_of_source(wildcards):
    """The key of the config whose file a source reads, as a list: one key or none."""
    key = PAIR_SOURCES[wildcards.source].needs_of_user
    return [key] if key else []


def given_of_source(wildcards):
    return [config[key] for key in keys_of_source(wildcards)]


def content_of_source(wildcards):
    return content(*given_of_source(wildcards))


def settings_of_source(wildcards):
    """The config values that the function of a source gets as keywords."""
    found = {}
    for section, keys in PAIR_SOURCES[wildcards.source].settings.items():
        found |= settings(section, *keys) if section else {key: config[key] for key in keys}
    return found


def digest_of_source(wildcards):
    """Digest of the modules and libraries that the function of a source uses, see `digest`."""
    path = PAIR_SOURCES[wildcards.source].function.rpartition(".")[0].replace(".", "/")
    return digest_of_code(f"{workflow.basedir}/src/{path}.py")


def memory_of_source(wildcards, input, attempt):
    source = PAIR_SOURCES[wildcards.source]
    times = {("given" if name == source.needs_of_user else name): factor for name, factor in source.times.items()}
    return memory(source.megabytes, **{name: factor for name, factor in times.items() if name in input.keys()})(
        wildcards, input, attempt
    )


# The user's files are `ancient` inputs, with a digest of their content as a parameter: a replacement may be older than the file that it
# replaces, and a newer file may have the same content.
def content(*paths):
    """Digest of the bytes of the user's files."""
    try:
        return content_of(paths)
    except OSError as error:
        sys.exit(f"{error.filename}: cannot be read ({error.strerror})")


def source_gnd(wildcards):
    return config["benchmarks"][wildcards.benchmark]["gnd"]


def content_of_gnd(wildcards):
    return content(source_gnd(wildcards))


def seen_of_benchmark(wildcards):
    """The scan's notes on the photos of a benchmark; nothing before the first scan."""
    path = f"{config['results']}/collection/benchmark-{wildcards.benchmark}.json"
    return path if os.path.exists(path) else []


def start_of_experiment(wildcards):
    """The network that an experiment fine-tunes."""
    return f"<results>/networks/{off_the_shelf(wildcards.experiment)}/network.h5"


def projection_of_experiment(wildcards):
    """The whitening with which the projection of an experiment's network starts; nothing if it has none."""
    if config["experiments"][wildcards.experiment]["projection"] == "none":
        return []
    return f"<results>/experiments/{wildcards.experiment}/projection.h5"


def descriptors_of_start(wildcards):
    """The collection, described by the network that an experiment fine-tunes."""
    return f"<results>/networks/{off_the_shelf(wildcards.experiment)}/descriptors/collection.h5"


def given_weights(wildcards):
    """The file with the pretrained weights of a network; nothing if they come with the installation."""
    return NETWORKS[wildcards.network]["weights"] or []


def content_of_weights(wildcards):
    weights = NETWORKS[wildcards.network]["weights"]
    return content(weights) if weights else ""


def training_settings(wildcards):
    """An experiment's settings without those of other stages (the weights are the start network's)."""
    return Experiment.model_validate(config["experiments"][wildcards.experiment]).of_training()


def training_seed(wildcards):
    """The seed of an experiment, or else that of the config."""
    own = config["experiments"][wildcards.experiment]["seed"]
    return config["seed"] if own is None else own


def description_settings(wildcards):
    """How a system describes photos."""
    return description_of(experiments_of(wildcards.system)[0])


def whitening_settings(wildcards):
    """How the descriptors of a system are whitened. Networks off the shelf keep all dimensions, and validation chooses the way."""
    folder, name = wildcards.system.split("/")
    settings = config["experiments"][name] if folder == "experiments" else {"whitening": "auto", "dimensions": 0}
    return {key: settings[key] for key in ("whitening", "dimensions")}


def projection_settings(wildcards):
    """How the whitening is learned with which the projection of an experiment's network starts."""
    settings = config["experiments"][wildcards.experiment]
    return {"whitening": settings["projection"], "dimensions": settings["projection_dimensions"]}


def drop_gathered_shards():
    """Delete the models of shards that are in the gathered models, unless the user keeps temporary files (`--notemp`)."""
    models = Path(config["results"]) / "reconstruction"
    if workflow.storage_settings.notemp or not (models / "models.h5").exists():
        return
    for shard in models.glob("shard-*.h5"):
        if shard.stat().st_mtime_ns < (models / "models.h5").stat().st_mtime_ns:
            shard.unlink()


def tell_left_out():
    """Print which photos and files the run left out, and why."""
    # Imported only here, because every job reads this file.
    from bow2cnn.run.rejection_counts import left_out
    from bow2cnn.run.run import Run

    for line in left_out(Run.open(config["results"])):
        print(line)
