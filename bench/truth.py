"""A run measured with labels that it does not know: precision of verified pairs and of cut pairs, size and purity of the 3D models.

    python bench/truth.py RESULTS TRUTH.csv [TRUTH.csv ...] [--same PLACE,PLACE ...] [--before RESULTS]

TRUTH.csv has the columns photo, landmark, place (place `-`: belongs to nothing). A pair of two `-` photos counts neither way; a pair with
one labelled photo is right if both show one place. A registered photo is in a model of another place if the place of its label is not the
most frequent place of its model (`-` photos count as wrong there only if the model's place is a labelled one). `--same` names places that
the labels confuse: a pair of two of them has no label. `--before` compares with an earlier run on the same photos: how many of its right
pairs are pairs of this run, and in how many of them both photos are in one cluster.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np

from bow2cnn.run.run import Run

LARGE = 8  # photos


def main():
    parser = argparse.ArgumentParser(description="A run measured with labels that it does not know.")
    parser.add_argument("results", type=Path)
    parser.add_argument("truths", nargs="+", metavar="TRUTH.csv")
    parser.add_argument("--same", nargs="*", default=[], type=lambda text: set(text.split(",")), metavar="PLACE,PLACE")
    parser.add_argument("--before", type=Path, metavar="RESULTS")
    args = parser.parse_args()
    run = Run.open(args.results)
    place = places(run, args.truths)
    for line in [*pairs(run, place, args.same), *cut(run, place, args.same)]:
        print(line)
    if args.before:
        print(kept(run, Run.open(args.before), place))
    if "models" in run:
        print(*models(run, place), sep="\n")


def places(run, truths):
    """Place of every photo of a run."""
    labels = read_labels(truths)
    return np.array([labels.get(Path(name).name, "-") for name in run.photos["name"]])


def read_labels(paths, column="place"):
    """File name of a photo to its label in a column."""
    labels = {}
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            labels.update((row["photo"], row[column]) for row in csv.DictReader(file))
    return labels


def pairs(run, place, same):
    """Lines on the verified pairs."""
    counted, right = judge(place[run.graph["pair"]], same)
    yield f"verified pairs: {tell(counted, right)}"
    yield f"precision of the pairs with a label: {100 * right.sum() / max(counted.sum(), 1):.2f} %"


def cut(run, place, same):
    """Lines on the verified pairs that were cut: on all of them, and by reason."""
    counted, right = judge(place[run.clusters["cut/pair"]], same)
    reason = np.array(run.clusters["cut/reason"], object)
    yield f"cut pairs: {tell(counted, right)}"
    for name in sorted(set(reason)):
        yield f"  {name}: {tell(counted[reason == name], right[reason == name])}"


def kept(run, before, place):
    """A line on the right pairs of an earlier run."""
    now, then = run.graph["pair"], before.graph["pair"]
    if not np.array_equal(run.photos["sha256"], before.photos["sha256"]):
        raise SystemExit(f"{before.results} is a run on other photos than {run.results}")
    pair = then[judge(place[then], [])[1]]
    again, refused = (np.isin(pair @ [len(place), 1], found @ [len(place), 1]) for found in (now, run.graph["refused"]))
    cluster = run.clusters["cluster"][pair]
    together = (cluster[:, 0] == cluster[:, 1]) & (cluster[:, 0] >= 0)
    still = f"pairs still {100 * again.mean():.1f} %, in one cluster {100 * together.mean():.1f} %"
    return f"right pairs before: {len(pair)}, {still}; refused now {refused.sum()}, not compared now {(~again & ~refused).sum()}"


def judge(ends, same):
    """Which pairs have a label that counts, and which of these show one place.

    Args:
        ends: places of the two photos of every pair, str [m, 2].
        same: sets of places that the labels confuse.

    Returns:
        bool [m] each.
    """
    confused = np.array([a != b and any({a, b} <= group for group in same) for a, b in ends.tolist()], bool)
    counted = (ends != "-").any(1) & ~confused
    return counted, counted & (ends[:, 0] == ends[:, 1])


def tell(counted, right):
    """The numbers of all pairs, of those with a label, and of right and wrong ones, as text."""
    return f"{len(counted)}, with a label {counted.sum()}: right {right.sum()}, wrong {(counted & ~right).sum()}"


def models(run, place):
    """Lines on the 3D models."""
    arrays = run.models
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
