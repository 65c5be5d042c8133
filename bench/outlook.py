"""The cost of a collection of any size: an extrapolation of the times of a run and of the curves of bench/scale.py.

    python bench/outlook.py RESULTS SCALE.json [--photos 7400000] [--features 700] [--words 1048576] [--found 0.05] [--partners 50]

RESULTS is a finished run whose jobs had `--run-threads` threads; SCALE.json is the output of bench/scale.py. `--found` is the share of
photos that are in clusters; `--partners` pairs of each of these are verified with all features. The time of a stage grows with its work
(`outlook`): the photos, their features, its queries to the index, the words. Networks describe the photos that can be used: those in
clusters and `--background` background photos (outside every cluster). Nothing was measured at that size.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import NamedTuple

from bow2cnn.config.model import Pairs
from bow2cnn.run.arrays import Arrays
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS

# Photos that are described before an epoch at most: the pool of negatives (`negative_pool_size`), and what a running validation ranks.
_POOL, _VALIDATION = 20_000, 20_000


class Cost(NamedTuple):
    """Core seconds of a stage, the number of its jobs, and the threads that one job can use."""

    stage: str
    jobs: int
    seconds: float
    threads: int


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("scale", type=Path)
    parser.add_argument("--photos", type=int, default=7_400_000)
    parser.add_argument("--features", type=int, default=700)
    parser.add_argument("--words", type=int, default=1 << 20)
    parser.add_argument("--found", type=float, default=0.05)
    parser.add_argument("--partners", type=int, default=50)
    parser.add_argument("--background", type=int, default=Pairs().max_background)
    parser.add_argument("--photo-shards", type=int, default=2000)
    parser.add_argument("--cluster-shards", type=int, default=200)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--run-threads", type=int, default=2)
    options = parser.parse_args()
    run, curves = MeasuredRun(options.results, options.run_threads), json.loads(options.scale.read_text())
    costs = outlook(run, curves, options)
    print("| stage | jobs | core hours | minutes of a job |\n|---|---|---|---|")
    for cost in costs:
        print(f"| {cost.stage} | {cost.jobs:,} | {cost.seconds / 3600:,.1f} | {cost.seconds / 60 / cost.jobs / cost.threads:,.1f} |")
    print(f"| all | {sum(cost.jobs for cost in costs):,} | {sum(cost.seconds for cost in costs) / 3600:,.0f} | |\n")
    print("| folder | GB |\n|---|---|")
    for folder, size in disk(run, options).items():
        print(f"| {folder} | {size / 1e9:,.0f} |")
    print(f"| all | {sum(disk(run, options).values()) / 1e9:,.0f} |")


class MeasuredRun:
    """A finished run: its counts, the core seconds of its rules, the bytes of its folders."""

    def __init__(self, results, threads):
        self._results, self._threads = results, threads
        run = Run.open(results)
        graph, histories = run.graph, [run.history(name) for name in run.experiments]
        self.photos, self.words = run.index.shape("norm")[0], run.index.shape("idf")[0]
        self.features = sum(int(Arrays(path, "features")["offset"][-1]) for path in run.shards("features")) / self.photos
        self.queried, self.probed = graph["verified"][graph["queried"]], graph["verified"][~graph["queried"]]
        self.pairs = len(graph["pair"]) + len(graph["refused"])
        self.used = int(run.negatives("models").used.sum())
        self._trainings = [(len(history["epoch"]) - 1, len(history["tried/share"]) - 1) for history in histories]
        self.registered = int((run.models["model"] >= 0).sum())

    def seconds(self, rule, threads=None, only="*"):
        """Core seconds of all jobs of a rule whose names match."""
        rows = [next(csv.DictReader(path.open(), delimiter="\t")) for path in self._timings(rule, only)]
        return sum(float(row["s"]) for row in rows) * (threads or self._threads)

    def described(self, used):
        """How often photos are described in all trainings, if `used` photos are used: all at the start, some before every epoch, those of
        validation for every share of the way."""
        some, few = min(used, _POOL + _VALIDATION), min(used, _VALIDATION)
        return sum(used + epochs * some + shares * few for epochs, shares in self._trainings)

    def jobs(self, rule, only="*"):
        return len(self._timings(rule, only))

    def _timings(self, rule, only):
        return sorted((self._results / "timings" / rule).rglob(f"{only}.tsv"))

    def bytes(self, folder):
        """Bytes of a folder; a file with several names (hard links) counts once."""
        found = [path.stat() for path in (self._results / folder).rglob("*") if path.is_file()]
        return sum({file.st_ino: file.st_size for file in found}.values())


def outlook(run, curves, options):
    """`Cost` of every stage."""
    photos, features = options.photos / run.photos, options.features / run.features
    found = options.found * options.photos
    used = found + options.background
    networks = run.jobs("describe", only="collection")
    describe = run.seconds("describe", only="collection") / networks / run.used
    most = curves["rows"][-1]
    larger = options.photos / most["photos"]

    def query(count, words, verified=DEFAULTS["shortlist"]):
        """Seconds of one query to the index and of `verified` verifications. `seconds` has two shortlists, because of query expansion."""
        postings = most["ranking"] * count / most["photos"] * (options.features / curves["features"]) ** 2 * run.words / words
        return postings + (most["seconds"] - 2 * most["ranking"]) / 2 * verified / DEFAULTS["shortlist"]

    asked = sum(len(some) * query(run.photos, run.words, some.mean()) for some in (run.queried, run.probed) if len(some))
    pair = (run.seconds("grow_graph") - asked) / run.pairs * features**2
    index = most["built"] * larger ** curves["exponent"] * options.features / curves["features"]
    ask = query(options.photos, options.words)
    more_words = options.words / run.words
    return [
        Cost("scan", 1, run.seconds("scan", 1) * photos, 1),
        Cost("features", options.photo_shards, run.seconds("extract_features", only="[0-9]*") * photos, options.threads),
        Cost("vocabulary", 1, run.seconds("train_vocabulary") * more_words**1.5, options.threads),
        Cost("words", options.photo_shards, run.seconds("quantise_words") * photos * features * more_words**0.5, options.threads),
        Cost("watermarks", 1, run.seconds("find_watermarks") * photos * features, options.threads),
        Cost("index", 1, index, 1),
        Cost("seeds", 2, (run.seconds("collide_sketches") + run.seconds("find_seeds")) * photos * features, options.threads),
        Cost("growth", 1, found * (query(options.photos, options.words, run.queried.mean()) + options.partners * pair), options.threads),
        Cost("3D models", options.cluster_shards, run.seconds("reconstruct_clusters", 1) / run.registered * found, 1),
        Cost(
            "contamination",
            run.jobs("find_contamination"),
            run.seconds("find_contamination") * ask / query(run.photos, run.words),
            options.threads,
        ),
        Cost("training database", 1, options.background * ask, options.threads),
        Cost("descriptors", networks, networks * describe * used, options.threads),
        Cost(
            "training",
            run.jobs("train_network"),
            run.seconds("train_network") + describe * (run.described(used) - run.described(run.used)),
            options.threads,
        ),
    ]


def disk(run, options):
    """Bytes by folder."""
    features = options.photos * options.features / (run.photos * run.features)
    found = options.found * options.photos
    matches = found * options.partners / run.pairs * options.features / run.features
    return {name: run.bytes(name) * features for name in ("features", "words", "index")} | {
        "clustering": run.bytes("clustering") * matches,
        "models": run.bytes("reconstruction") * found / run.registered,
        "descriptors (of one network)": 4 * 1280 * options.photos,
    }


if __name__ == "__main__":
    main()
