"""How right a run is, measured against held-back labels: precision of verified pairs and of those that were cut, size and purity of the 3D
models.

    python bench/truth.py RESULTS TRUTH.csv [TRUTH.csv ...]

TRUTH.csv has the columns photo, landmark, place (place `-`: belongs to nothing). A pair of two `-` photos counts neither way; a pair
with one labelled photo is right when both show one place. A registered photo is in a model of another place when the place of its
label is not the most frequent place of its model (`-` photos count as wrong there only if the model's place is a labelled one).
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from bow2cnn import artefact

LARGE = 8  # photos
MORE_INLIERS = (17, 19, 25)


def main(results, truths):
    results = Path(results)
    names = artefact.read(results / "collection/collection.h5", "collection", ["name"])["name"]
    labels = read_labels(truths)
    place = np.array([labels.get(Path(name).name, "-") for name in names])
    for line in [*pairs(results, place), *cut(results, place)]:
        print(line)
    if (results / "models/models.h5").exists():
        print(*models(results, place), sep="\n")


def read_labels(paths, column="place"):
    """Photo file name to its label in a column."""
    labels = {}
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            labels.update((row["photo"], row[column]) for row in csv.DictReader(file))
    return labels


def pairs(results, place):
    """Lines on the verified pairs, all of them and those with more inliers."""
    graph = artefact.read(results / "discovery/graph.h5", "graph", ["pair", "inliers"])
    counted, right = judge(place[graph["pair"]])
    yield f"verified pairs: {tell(counted, right)}"
    yield f"precision of the pairs with a label: {100 * right.sum() / max(counted.sum(), 1):.2f} %"
    for least in MORE_INLIERS:
        kept = graph["inliers"] >= least
        yield f"  from {least} inliers: right {(right & kept).sum()}, wrong {(counted & ~right & kept).sum()}"


def cut(results, place):
    """Lines on the verified pairs that were cut, of all and by reason."""
    found = artefact.read(results / "discovery/clusters.h5", "clusters", ["cut/pair", "cut/reason"])
    counted, right = judge(place[found["cut/pair"]])
    reason = np.array(found["cut/reason"], object)
    yield f"cut pairs: {tell(counted, right)}"
    for name in sorted(set(reason)):
        yield f"  {name}: {tell(counted[reason == name], right[reason == name])}"


def judge(ends):
    """Which pairs have a label, and which of them show one place: bool [m] each, from the places of their photos, [m, 2]."""
    counted = (ends != "-").any(1)
    return counted, counted & (ends[:, 0] == ends[:, 1])


def tell(counted, right):
    """How many pairs there are, how many have a label, and how many of those are right and wrong."""
    return f"{len(counted)}, with a label {counted.sum()}: right {right.sum()}, wrong {(counted & ~right).sum()}"


def models(results, place):
    """Lines on the 3D models."""
    arrays = artefact.read(results / "models/models.h5", "models", ["model", "photo_offset", "photo"])
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
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
