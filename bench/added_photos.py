"""Measure the cost and the result of adding photos to a finished run, against a run on all photos.

    python bench/added_photos.py CONFIG FOLDER [--late 20] [--cores 2] [--full RESULTS] [--truth TRUTH.csv]

CONFIG is a run's config (tests/configs/riviera.yaml). In FOLDER, which must be new, one of every `--late` photos is held back at first. The
others run up to the models and the teacher's rankings; then the late photos are added, and it runs again. `--full` names the results of a
run on all photos, if there is one already; its jobs of the same rules are counted. Without `--full` that run is made too. With `--truth`
every labelled photo of the collection is a query too, because a benchmark has some dozen queries, and another vocabulary alone changes its
mAP by a point or two. Photos are linked, not copied, where the disk allows it.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from truth import read_labels

from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.core.progress import progress
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.evaluation.systems import bow_rankings
from bow2cnn.index.engine import Engine
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, search
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS

ROOT = Path(__file__).parents[1]
TARGETS = ("reconstruction", "retrieval")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--late", type=int, default=20)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--full")
    parser.add_argument("--truth")
    options = parser.parse_args()
    config = yaml.safe_load(Path(options.config).read_text())
    options.folder.mkdir(parents=True)
    photos = list_photos(config["photos"], options.folder / "list")
    late = photos[:: options.late]
    place(options.folder / "photos", [photo for photo in photos if photo not in set(late)])
    mine = {**config, "photos": [str(options.folder / "photos")], "results": str(options.folder / "results")}
    first = run(mine, options.folder / "grow.yaml", options.cores)
    place(options.folder / "photos", late)
    grown = run(mine, options.folder / "grow.yaml", options.cores)
    whole = {**config, "results": options.full or str(options.folder / "full")}
    full = known(Path(options.full), Path(mine["results"])) if options.full else run(whole, options.folder / "full.yaml", options.cores)
    print(f"photos: {len(photos)}, of which {len(late)} came late")
    report("first run", first, None, None)
    report("grown run", grown, mine, options.truth)
    report("run on all of them", full, whole, options.truth)


def list_photos(folders, out):
    """(folder, path) of the usable photos, sorted by content."""
    scan(folders, out, 1, 64, 100_000_000)
    return [Path(path) for path in artefact.read(out / "collection.h5", "collection", ["path"])["path"]]


def place(folder, photos):
    folder.mkdir(exist_ok=True)
    for photo in photos:
        try:
            os.link(photo, folder / photo.name)
        except OSError:
            shutil.copy2(photo, folder / photo.name)


def run(config, path, cores, targets=TARGETS):
    """Seconds of a run, and of its jobs (wall time, processor time)."""
    path.write_text(yaml.safe_dump(config))
    begin = time.time()
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", str(cores), *targets]
    subprocess.run([*command, "--configfile", path], check=True)
    return time.time() - begin, *job_seconds(Path(config["results"]), begin)


def known(results, like):
    """The same for an existing run, without its own seconds: only its jobs of the rules that another run has."""
    return None, *job_seconds(results, rules=[path.name for path in (like / "timings").iterdir()])


def job_seconds(results, since=0.0, rules=("",)):
    """Sum over the jobs (of these rules) that began after a time: seconds of wall time and of processor time."""
    rows = []
    for path in (path for rule in rules for path in (results / "timings" / rule).rglob("*.tsv")):
        if path.stat().st_mtime >= since:
            with open(path, encoding="utf-8") as file:
                rows += list(csv.DictReader(file, delimiter="\t"))
    return sum(float(row["s"]) for row in rows), sum(float(row["cpu_time"]) for row in rows)


def report(name, seconds, config, truth):
    whole = "" if seconds[0] is None else f"{seconds[0]:.0f} s, "
    print(f"{name}: {whole}processor time of its jobs {seconds[2]:.0f} s")
    if config:
        results = Run.open(config["results"])
        model = results.models["model"]
        print(f"  registered: {np.count_nonzero(model >= 0)} in {model.max(initial=-1) + 1} models")
        everything = []
        for benchmark in config["benchmarks"]:
            scores = teacher(results, benchmark)
            lines = (
                f"{protocol} {', '.join(f'{steps} {score:.2f}' for steps, score in found.items())}" for protocol, found in scores.items()
            )
            print(f"  teacher on {benchmark}: {'; '.join(lines)}")
            everything += [score for found in scores.values() for score in found.values()]
        print(f"  the teacher's mAP over all these: {np.mean(everything):.2f}")
        if truth:
            print(f"  teacher on the collection: {teacher_on_collection(results, truth)}")


def teacher(results, benchmark):
    """The teacher's mAP by protocol and step: plain, verified, expanded."""
    truth = results.truth(benchmark)
    rankings = bow_rankings(truth, results.path("teacher_ranking", benchmark), benchmark)
    return {
        protocol: {steps or "plain": np.nanmean(score_rankings(lists, answers)["mAP"]) for steps, lists in rankings.items()}
        for protocol, answers in truth.protocols.items()
    }


def teacher_on_collection(results, truth):
    """mAP with every labelled photo as a query, the photos of its place being the positives, as a text."""
    names = results.photos["name"]
    places = read_labels([truth])
    place = np.array([places.get(Path(name).name, "-") for name in names])
    engine = Engine.load(results.path("index"), DEFAULTS["max_hamming"])
    settings = {name: DEFAULTS[name] for name in ("shortlist", "max_expansion", "expansion_inliers")}
    settings["min_inliers"] = MIN_EVIDENCE
    queries = [row for row in np.flatnonzero(place != "-").tolist() if np.count_nonzero(place == place[row]) > 1]
    found = [search(engine, engine.words(row), **settings) for row in progress(queries, "queries", len(queries))]
    known = [(np.setdiff1d(np.flatnonzero(place == place[row]), [row]), np.array([row])) for row in queries]
    scores = (
        f"{step} {np.nanmean(score_rankings([rankings[step].photo for rankings in found], known)['mAP']):.2f}"
        for step in ("plain", "sv", "sv+qe")
    )
    return f"{len(queries)} queries, {', '.join(scores)}"


if __name__ == "__main__":
    main()
