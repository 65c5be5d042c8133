"""Compare the 3D models with pycolmap's, within the true labels and on all photos together.

    python bench/models.py CONFIG TRUTH.csv WORK [--rows labels heap bow2cnn] [--threads 2]

CONFIG is of a run whose `results` folder does not exist yet: bow2cnn's time is that of the whole run up to the models. TRUTH.csv has the
columns photo, landmark, place (`-`: belongs to nothing). pycolmap uses at most 4,096 SIFT features per photo and keeps every component of 5
photos or more. `labels` matches every pair of photos of one landmark, which needs labels that users do not have. `heap` knows no labels: it
uses a vocabulary tree of 16,384 words built from the photos, 20 neighbours per photo, and pycolmap's own test for watermarks. A photo
counts for the largest model that registers it, and as wrong if its place is not the most frequent place there. Seconds are wall time, with
processor time in brackets, which other work disturbs less. bow2cnn's stages run in parallel; the processor time of each is sampled by
Snakemake, which misses some of it (the time of `all` is complete). WORK keeps pycolmap's databases and models and the measurements, so that
rows can be made one by one.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap
import yaml
from added_photos import job_seconds
from clock import Clock
from colmap_peer import WORDS, build_tree, extract
from truth import LARGE, read_labels

from bow2cnn.run.run import Run

SMALLEST = 5  # photos of a model
NEIGHBOURS = 20
SAMPLE = 10 * WORDS  # descriptors of the tree: more would take most of the time
ROOT = Path(__file__).parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("truth")
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    options.work.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(options.config.read_text())
    bench = Bench(options, settings)
    for row in options.rows:
        members, seconds = ROWS[row](bench)
        (options.work / f"{row}.json").write_text(json.dumps({"models": members, "seconds": seconds}))
    found = {row: json.loads(path.read_text()) for row in ROWS if (path := options.work / f"{row}.json").exists()}
    for line in report(found, read_labels([options.truth])):
        print(line)


class Bench:
    """What all rows share: the photos as one folder, the options, and pycolmap's features."""

    def __init__(self, options, settings):
        self.options, self.settings, self.work = options, settings, options.work
        self.images = self.work / "images"
        self.images.mkdir(exist_ok=True)
        for folder in settings["photos"]:
            for path in sorted(Path(folder).rglob("*.jpg")):
                link = self.images / path.name
                if not link.is_symlink():
                    link.symlink_to(path.resolve())

    def database(self, row):
        """A new database with the features of all photos, and the time that the features took."""
        features, note = self.work / "features.db", self.work / "features.json"
        if not note.exists():
            features.unlink(missing_ok=True)
            clock = Clock()
            extract(features, self.images, self.options.threads)
            note.write_text(json.dumps(clock.lap()))
        own = self.work / f"{row}.db"
        shutil.copyfile(features, own)
        return own, json.loads(note.read_text())


def inside_labels(bench):
    landmark = read_labels([bench.options.truth], "landmark")
    names = sorted(path.name for path in bench.images.iterdir() if landmark.get(path.name, "-") != "-")
    database, features = bench.database("labels")
    pairs = bench.work / "labels.txt"
    pairs.write_text("".join(f"{a} {b}\n" for a, b in combinations(names, 2) if landmark[a] == landmark[b]))
    clock = Clock()
    settings = pycolmap.FeatureMatchingOptions(num_threads=bench.options.threads, use_gpu=False)
    pycolmap.match_image_pairs(database, settings, pycolmap.ImportedPairingOptions(match_list_path=pairs))
    matching = clock.lap()
    members = map_all(bench, database, "labels")
    return members, {"features": features, "matching": matching, "mapping": clock.lap()}


def alone(bench):
    database, features = bench.database("heap")
    clock = Clock()
    with pycolmap.Database.open(database) as opened:
        images = [image.image_id for image in opened.read_all_images()]
        path = build_tree(opened, images, bench.work / "tree.bin", bench.options.threads, SAMPLE)
    tree = clock.lap()
    settings = pycolmap.FeatureMatchingOptions(num_threads=bench.options.threads, use_gpu=False)
    pairing = pycolmap.VocabTreePairingOptions(num_threads=bench.options.threads, vocab_tree_path=path, num_images=NEIGHBOURS)
    pycolmap.match_vocabtree(database, settings, pairing)
    matching = clock.lap()
    members = map_all(bench, database, "heap")
    return members, {"features": features, "tree": tree, "matching": matching, "mapping": clock.lap()}


def map_all(bench, database, row):
    """Names of the photos of every model."""
    out = bench.work / row
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    settings = pycolmap.IncrementalPipelineOptions(
        num_threads=bench.options.threads, min_model_size=SMALLEST, max_num_models=10_000, ignore_watermarks=True, extract_colors=False
    )
    models = pycolmap.incremental_mapping(database, bench.images, out, settings)
    return [sorted(image.name for image in model.images.values() if image.has_pose) for model in models.values()]


def ours(bench):
    results = Path(bench.settings["results"])
    if results.exists():
        sys.exit(f"{results} is there already: the time is taken from nothing; move it away")
    clock = Clock()
    command = [
        "snakemake",
        "--cores",
        str(bench.options.threads),
        "reconstruction",
        "--configfile",
        str(bench.options.config),
        "--quiet",
        "all",
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    seconds = {"all": clock.lap()}
    for rule in sorted(path.name for path in (results / "timings").iterdir()):
        seconds[rule] = job_seconds(results, rules=[rule])
    run = Run.open(results)
    names, arrays = run.photos["name"], run.models
    bounds = zip(arrays["photo_offset"][:-1], arrays["photo_offset"][1:], strict=True)
    return [[Path(names[photo]).name for photo in arrays["photo"][start:stop]] for start, stop in bounds], seconds


ROWS = {"labels": inside_labels, "heap": alone, "bow2cnn": ours}


def report(found, place):
    """Lines on the existing rows."""
    right = {}
    for row, measured in found.items():
        members = assign(measured["models"])
        right[row], wrong = set(), 0
        for photos in members:
            main_place = Counter(place.get(photo, "-") for photo in photos).most_common(1)[0][0]
            own = {photo for photo in photos if place.get(photo, "-") == main_place}
            right[row] |= own
            wrong += len(photos) - len(own)
        sizes = [len(photos) for photos in measured["models"]]
        registered = len(right[row]) + wrong
        yield (
            f"{row}: {registered} photos registered, {wrong} of them in a model of another place ({wrong / max(registered, 1):.2%}); "
            f"{len(sizes)} models, {sum(size >= LARGE for size in sizes)} of them of {LARGE} photos or more"
        )
        parts = (f"{stage} {wall:.0f} ({processor:.0f})" for stage, (wall, processor) in measured["seconds"].items())
        yield "  seconds (of the processor): " + ", ".join(parts)
    if {"labels", "bow2cnn"} <= set(found):
        both, labels, own = (len(photos) for photos in (right["bow2cnn"] & right["labels"], right["labels"], right["bow2cnn"]))
        yield f"bow2cnn has {both} of the {labels} right photos of labels, {own} right ones in all"
    if {"heap", "bow2cnn"} <= set(found):
        total = np.sum(list(found["heap"]["seconds"].values()), axis=0)
        times = total / found["bow2cnn"]["seconds"]["all"]
        yield f"bow2cnn takes 1/{times[0]:.1f} of the {total[0]:.0f} s of heap, of the processor's time 1/{times[1]:.1f}"


def assign(models):
    """The photos of every model, each only in the largest model that registers it; models of `SMALLEST` photos or more, largest first."""
    taken, members = set(), []
    for photos in sorted(models, key=len, reverse=True):
        own = [photo for photo in photos if photo not in taken]
        taken.update(own)
        if len(photos) >= SMALLEST and own:
            members.append(own)
    return members


if __name__ == "__main__":
    main()
