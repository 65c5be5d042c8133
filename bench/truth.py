"""Measure a run against labels that it has not seen: precision of the verified and the cut pairs, size and purity of the 3D models.

    python bench/truth.py RESULTS TRUTH.csv [TRUTH.csv ...] [--same PLACE,PLACE ...] [--before RESULTS]

TRUTH.csv has the columns photo, landmark, place (place `-`: no place). A pair of two `-` photos is not counted. A pair
with at least one labelled photo is right if both show one place. A registered photo is in a model of another place if its place is not the
most frequent one of its model (a `-` photo is wrong only if the place of the model is a labelled one). If labels are known to confuse
places, name these with `--same`: a pair of two of them has no label. `--before` names an earlier run on the same photos. It prints how many
of its right pairs are pairs of this run, and in how many both photos are in one cluster.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact

LARGE = 8  # photos


def main():
    parser = argparse.ArgumentParser(description="How right a run is, measured against held-back labels.")
    parser.add_argument("results", type=Path)
    parser.add_argument("truths", nargs="+", metavar="TRUTH.csv")
    parser.add_argument("--same", nargs="*", default=[], type=lambda text: set(text.split(",")), metavar="PLACE,PLACE")
    parser.add_argument("--before", type=Path, metavar="RESULTS")
    args = parser.parse_args()
    place = places(args.results, args.truths)
    for line in [*pairs(args.results, place, args.same), *cut(args.results, place, args.same)]:
        print(line)
    if args.before:
        print(kept(args.results, args.before, place))
    if (args.results / "reconstruction/models.h5").exists():
        print(*models(args.results, place), sep="\n")


def places(results, truths):
    """Place of every photo of a run."""
    names = artefact.read(results / "collection/collection.h5", "collection", ["name"])["name"]
    labels = read_labels(truths)
    return np.array([labels.get(Path(name).name, "-") for name in names])


def read_labels(paths, column="place"):
    """File name of a photo to its label in a column."""
    labels = {}
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            labels.update((row["photo"], row[column]) for row in csv.DictReader(file))
    return labels


def pairs(results, place, same):
    """Lines on the verified pairs."""
    counted, right = judge(place[artefact.read(results / "clustering/graph.h5", "graph", ["pair"])["pair"]], same)
    yield f"verified pairs: {tell(counted, right)}"
    yield f"precision of the pairs with a label: {100 * right.sum() / max(counted.sum(), 1):.2f} %"


def cut(results, place, same):
    """Lines on the verified pairs that were cut, in total and by reason."""
    found = artefact.read(results / "clustering/clusters.h5", "clusters", ["cut/pair", "cut/reason"])
    counted, right = judge(place[found["cut/pair"]], same)
    reason = np.array(found["cut/reason"], object)
    yield f"cut pairs: {tell(counted, right)}"
    for name in sorted(set(reason)):
        yield f"  {name}: {tell(counted[reason == name], right[reason == name])}"


def kept(results, before, place):
    """A line on the right pairs of an earlier run."""
    now, then = (artefact.read(run / "clustering/graph.h5", "graph", ["pair", "sha256"]) for run in (results, before))
    if not np.array_equal(now["sha256"], then["sha256"]):
        raise SystemExit(f"{before} is a run on other photos than {results}")
    pair = then["pair"][judge(place[then["pair"]], [])[1]]
    again = np.isin(pair @ [len(place), 1], now["pair"] @ [len(place), 1])
    cluster = artefact.read(results / "clustering/clusters.h5", "clusters", ["cluster"])["cluster"][pair]
    together = (cluster[:, 0] == cluster[:, 1]) & (cluster[:, 0] >= 0)
    return f"right pairs before: {len(pair)}, pairs still {100 * again.mean():.1f} %, in one cluster {100 * together.mean():.1f} %"


def judge(ends, same):
    """Which pairs have a usable label, and which of them show one place, bool [m] each.

    Args:
        ends: places of the photos of each pair, [m, 2].
        same: sets of places that the labels confuse.
    """
    confused = np.array([a != b and any({a, b} <= group for group in same) for a, b in ends.tolist()], bool)
    counted = (ends != "-").any(1) & ~confused
    return counted, counted & (ends[:, 0] == ends[:, 1])


def tell(counted, right):
    """Number of pairs, of those with a label, and of the right and wrong ones, as text."""
    return f"{len(counted)}, with a label {counted.sum()}: right {right.sum()}, wrong {(counted & ~right).sum()}"


def models(results, place):
    """Lines on the 3D models."""
    arrays = artefact.read(results / "reconstruction/models.h5", "models", ["model", "photo_offset", "photo"])
    members = [arrays["photo"][a:b] for a, b in zip(arrays["photo_offset"][:-1], arrays["photo_offset"][1:], strict=True)]
    wrong = 0
    for number, photos in enumerate(members):
        own = photos[arrays["model"][photos] == number]
        most = Counter(place[own]).most_common()
        if most:
            wrong += sum(count for name, count in most[1:])
        if len(most) > 1:
            yield f"  model {number}: {dict(most)}"
    registered = int((arrays["model"] >= 0).sum())
    yield f"models: {len(members)}, of {LARGE} or more photos: {sum(len(photos) >= LARGE for photos in members)}"
    yield f"photos registered: {registered}, in a model of another place: {wrong} ({100 * wrong / max(registered, 1):.2f} %)"


if __name__ == "__main__":
    main()
