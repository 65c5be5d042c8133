"""What Snakemake makes of the config, without running a job."""

import importlib.util
import json
import re

import pytest
from harness import ROOT, planned

TARGETS = {
    "collection": "read_benchmark",
    "features": "extract_benchmark_features",
    "vocabulary": "train_vocabulary",
    "index": "build_index",
    "retrieval": "rank_benchmark",
    "clustering": "cut_clusters",
    "reconstruction": "gather_models",
    "split": "split_models",
    "pairs": "find_pairs",
    "training": "train_network",
    "whitening": "learn_whitening",
    "evaluation": "evaluate_systems",
    "report": "write_report",
    "all": "write_report",
}
CONFIG = """
photos: [photos]
results: out/first run
shards: {photos: 3, clusters: 2}
benchmarks: {held-out: {photos: queries, gnd: gnd.json}}
experiments: {a: {network: vgg16, weights: gnd.json}, b: {}}
"""


@pytest.fixture
def mine(run):
    """A run with a config of the user's."""
    for name in ("photos", "queries"):
        (run.folder / name).mkdir()
    (run.folder / "gnd.json").write_text("{}")
    (run.folder / "mine.yaml").write_text(CONFIG)
    return run


@pytest.mark.parametrize("target", TARGETS)
def test_every_stage_has_a_name(mine, target):
    jobs = planned(mine("-n", target, "--configfile", "mine.yaml"))
    assert TARGETS[target] in jobs


def test_the_whole_plan_before_the_first_scan(mine):
    jobs = planned(mine("-n", "--configfile", "mine.yaml"))
    assert jobs["first_scan"] == jobs["train_vocabulary"] == jobs["write_report"] == jobs["write_pages"] == 1
    assert jobs["extract_features"] == jobs["quantise_words"] == 3 and jobs["reconstruct_clusters"] == 2
    assert jobs["start_network"] == jobs["train_network"] == 2
    assert jobs["describe_collection"] == jobs["describe_benchmark"] == jobs["learn_whitening"] == 4


BY_WORDS = "experiments={a: {pairs: {source: words}}, b: {pairs: {source: words}}}"
GEOMETRY = {
    "collide_sketches",
    "find_seeds",
    "grow_graph",
    "cut_clusters",
    "reconstruct_clusters",
    "gather_models",
    "split_models",
    "write_pages",
}


def test_pairs_that_need_no_geometry_plan_none(mine):
    """The index, what benchmarks show of the collection, and the training; neither graph nor models nor a split of these."""
    jobs = planned(mine("-n", "--configfile", "mine.yaml", "--config", BY_WORDS))
    assert jobs["find_pairs"] == jobs["build_index"] == jobs["find_contamination"] == jobs["write_report"] == 1
    assert jobs["train_network"] == jobs["start_network"] == 2 and not GEOMETRY & set(jobs)


def test_experiments_of_several_sources_have_networks_and_validation_of_their_own(mine):
    """Two with the same network: off the shelf it is whitened, and its collection described, for the pairs of each."""
    with open(mine.code / "Snakefile", "a", encoding="utf-8") as file:
        file.write("\nprint(dict(rules.evaluate_systems.params.pairings))\nprint(VALIDATION_OF)\n")
    listing = mine("-n", "--configfile", "mine.yaml", "--config", "experiments={c: {pairs: {source: words}}}")
    jobs, lines = planned(listing), listing.splitlines()
    assert jobs["find_pairs"] == 2 and jobs["start_network"] == jobs["train_network"] == 3 and set(jobs) > GEOMETRY
    assert jobs["describe_collection"] == jobs["learn_whitening"] == 6
    assert "{'a': 'off-the-shelf:vgg16', 'b': 'off-the-shelf:efficientnet-lite0', 'c': 'off-the-shelf:efficientnet-lite0-words'}" in lines
    measured = next(line for line in lines if line.startswith("{'off-the-shelf:vgg16': "))
    assert "'b': 'validation'" in measured and "'c': 'validation-words'" in measured
    assert "'off-the-shelf:efficientnet-lite0-words': 'validation-words'" in measured


def test_experiments_that_describe_photos_in_different_ways_have_networks_of_their_own(mine):
    """Off the shelf: by size and scales, not by steps. The first of a network has the plain name."""
    with open(mine.code / "Snakefile", "a", encoding="utf-8") as file:
        file.write(
            "\nprint(dict(rules.evaluate_systems.params.pairings))\nfor name, system in SYSTEMS.items():\n"
            "    print(name, description_of(experiments_of(system)[0]), steps_of(system))\n"
        )
    experiments = {"b": {}, "c": {"test": {"image_size": 512, "steps": []}}, "d": {"test": {"scales": [1, 0.5], "image_size": 0}}}
    experiments["e"] = {"test": {"steps": []}}
    listing = mine("-n", "--configfile", "mine.yaml", "--config", f"experiments={json.dumps(experiments)}")
    jobs, lines = planned(listing), listing.splitlines()
    shelf = "off-the-shelf:efficientnet-lite0"
    pairings = {"a": "off-the-shelf:vgg16", "b": shelf, "c": f"{shelf}-512px", "d": f"{shelf}-256px-scales-1-0.5", "e": shelf}
    assert str(pairings) in lines
    assert f"{shelf} {{'image_size': 362, 'scales': [1.0]}} [['whitened'], []]" in lines
    assert f"{shelf}-512px {{'image_size': 512, 'scales': [1.0]}} [[]]" in lines
    assert "c {'image_size': 512, 'scales': [1.0]} [[]]" in lines
    assert f"{shelf}-256px-scales-1-0.5 {{'image_size': 256, 'scales': [1.0, 0.5]}} [['whitened']]" in lines
    assert jobs["start_network"] == 4 and jobs["train_network"] == 5 and jobs["describe_collection"] == 9
    assert jobs["learn_whitening"] == 6, "c, e and the network that c is compared with take no step"


def test_a_projection_starts_as_a_whitening_of_the_untrained_network(mine):
    """Which takes the descriptors by this network, and is learned for the experiments that have a projection."""
    experiments = {"b": {"projection": "pca", "projection_dimensions": 128, "test": {"steps": []}}, "c": {"test": {"steps": []}}}
    listing = mine("training", "-n", "--configfile", "mine.yaml", "--config", f"experiments={json.dumps(experiments)}")
    jobs = planned(listing)
    assert jobs["learn_projection"] == jobs["describe_collection"] == 1 and jobs["train_network"] == 3 and "learn_whitening" not in jobs
    [learned] = re.findall(r"^Job \d+: projection: of experiment b\n(.*)", listing, re.M)
    assert "out/first run/experiments/b/projection.h5; " in learned
    # Snakemake names the inputs in any order.
    assert "out/first run/networks/efficientnet-lite0/descriptors/collection.h5" in re.split("[:,;] ", learned)


def test_every_job_has_log_message_and_conda_environment(mine):
    listing = mine("-n", "--configfile", "mine.yaml", "--verbose")
    assert len(re.findall(r"^Job \d+: ", listing, re.M)) >= 26
    assert "good condition" in mine("--lint", "--configfile", "mine.yaml")


def test_nothing_of_the_demo_leaks_into_a_run_of_ones_own(mine):
    (mine.folder / "own.yaml").write_text("photos: [photos]")
    listing = mine("-n", "--configfile", "own.yaml")
    assert "demo" not in listing.split("Building DAG")[1]
    assert "read_benchmark" not in planned(listing)


def test_without_a_configfile_the_demo_runs(mine):
    for name in ("demo-photos/photos", "demo-photos/benchmark/photos"):
        (mine.folder / name).mkdir(parents=True)
    (mine.folder / "demo-photos/benchmark/gnd.json").write_text("{}")
    for arguments in ((), ("--config", "seed=4")):
        listing = mine("-n", *arguments)
        assert "results/demo/report.html" in listing and planned(listing)["read_benchmark"] == 1


def test_an_experiment_is_compared_with_its_own_network_off_the_shelf(mine):
    """Wherever rules speak of it: the name that the table has for it."""
    with open(mine.code / "Snakefile", "a", encoding="utf-8") as file:
        file.write("\nfor rule in (rules.evaluate_systems, rules.write_report):\n    print(dict(rule.params.pairings))\n")
    lines = mine("-n", "--configfile", "mine.yaml", "--config", "experiments={a: {pooling: mac}}").splitlines()
    assert lines.count("{'a': 'off-the-shelf:vgg16-mac', 'b': 'off-the-shelf:efficientnet-lite0'}") == 2


@pytest.mark.parametrize(("side", "searched"), [(1000, 1.0), (0, 20.0), (9000, 81.0)])
def test_memory_is_asked_for_by_the_largest_photo(mine, side, searched):
    """Megabytes; every photo is searched for features at one size (0: at its own)."""
    with open(mine.code / "Snakefile", "a", encoding="utf-8") as file:
        file.write("\nprint([DECODING, SEARCHING])\n")
    settings = ("collection={max_pixels: 20000000}", f"features={{side: {side}}}")
    lines = mine("-n", "--configfile", "mine.yaml", "--config", *settings).splitlines()
    assert f"[{25 * 20.0}, {236 * searched}]" in lines


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("photo=1", "config: photo: no such key; did you mean photos?"),
        ("pairs={max_querys: 1}", "config: pairs.max_querys: no such key; did you mean max_queries?"),
        ("experiments={gem: {keep: 1}}", "config: experiments.gem.keep: is now called feature_distillation"),
        ("seed=much", "config: seed: expected a whole number, got 'much'"),
        ("photos=[nowhere]", "config: photos.0: nowhere is a folder that does not exist"),
        ("results=mine.yaml/out", "config: results: FOLDER/mine.yaml is not a folder"),
        ("photos=['{x}']", "config: photos.0: {x} must not contain any of {}<>; rename it, or use a link to it"),
    ],
)
def test_a_wrong_config_stops_with_one_line(mine, setting, line):
    output = mine("--cores", 1, "--configfile", "mine.yaml", "--config", setting, fails=True)
    assert [text for text in output.splitlines() if "profile" not in text] == [line.replace("FOLDER", str(mine.folder))]
    assert not (mine.folder / "out").exists()


@pytest.mark.slow
def test_a_million_photos_are_some_thousand_jobs():
    """As `bench/plan.py` plans them: without a list of photos, because there is no photo."""
    spec = importlib.util.spec_from_file_location("plan", ROOT / "bench/plan.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    jobs, _, _ = bench.plan(photos=1000, clusters=64)
    assert jobs == 2 * 1000 + 64 + 23
