"""Add wrong pairs to a run's graph at growing rates: how many clusters do they join, and how many other pairs are cut?

    python bench/bridges.py RESULTS [--rates 0 0.0001 0.001 0.01] [--min-photos 5] [--min-bridge-inliers 30] [--seed 0]

RESULTS is a run up to the stage `clustering`. `--rates` are planted pairs per verified pair. Each joins two random photos of different
clusters, or of no cluster, and has the inliers of a random verified pair. Two clusters count as joined if a new cluster holds
`--min-photos` photos of each. The last lines say how many links two groups of 50 photos need, as the number of photos grows, with one wrong
pair in a thousand and five pairs per photo.
"""

import argparse
from collections import Counter
from pathlib import Path

import networkx as nx
import numpy as np

from bow2cnn.clustering.clusters import cut_weak, links_needed
from bow2cnn.config.model import Clustering
from bow2cnn.run.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--rates", type=float, nargs="+", default=[0, 0.0001, 0.001, 0.01])
    parser.add_argument("--min-photos", type=int, default=Clustering().min_photos)
    parser.add_argument("--min-bridge-inliers", type=int, default=Clustering().min_bridge_inliers)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    graph = Run.open(options.results).graph
    before, _ = clusters(graph, np.zeros((0, 2), int), options)
    for rate in options.rates:
        planted = plant(graph, before, round(rate * len(graph["pair"])), options.seed)
        after, cut = clusters(graph, planted, options)
        cut_planted = len({tuple(pair) for pair in cut} & {tuple(sorted(pair)) for pair in planted.tolist()})
        print(f"planted {len(planted)} ({100 * rate:g} %): cut {cut_planted} of them and {len(cut) - cut_planted} others; "
              f"clusters joined: {joined(before, after, options.min_photos)}")  # fmt: skip
    for photos in 10 ** np.arange(3, 8):
        groups, wrong = photos / 50, 0.001 * 5 * photos
        expected = wrong * 50 * 50 / (photos**2 / 2)
        needed = links_needed(expected, groups**2 / 2)
        print(f"{photos} photos: {wrong:.0f} wrong pairs, {needed} links needed")


def clusters(graph, planted, options):
    """Cluster of every photo, int [n], -1 for none; and the pairs that are cut."""
    network = nx.Graph()
    network.add_nodes_from(range(len(graph["queried"])))
    for (a, b), inliers, unmoved in zip(*(graph[name].tolist() for name in ("pair", "inliers", "unmoved")), strict=True):
        network.add_edge(a, b, inliers=inliers, unmoved=unmoved)
    rng = np.random.default_rng([options.seed, 1])
    for (a, b), inliers in zip(planted.tolist(), rng.choice(graph["inliers"], len(planted)).tolist(), strict=True):
        network.add_edge(a, b, inliers=inliers, unmoved=0.0)
    cut, _ = cut_weak(network, options.min_photos, options.min_bridge_inliers)
    found = np.full(len(network), -1)
    members = [component for component in nx.connected_components(network) if len(component) >= options.min_photos]
    for number, photos in enumerate(members):
        found[sorted(photos)] = number
    return found, [(edge.a, edge.b) for edge in cut]


def plant(graph, cluster, count, seed):
    """Random pairs of photos that are in different clusters or none and do not match, int [count, 2]."""
    rng = np.random.default_rng(seed)
    known, pairs = {tuple(pair) for pair in graph["pair"].tolist()}, []
    while len(pairs) < count:
        a, b = sorted(rng.choice(len(cluster), 2, replace=False).tolist())
        if (cluster[a] < 0 or cluster[a] != cluster[b]) and (a, b) not in known:
            known.add((a, b))
            pairs.append((a, b))
    return np.array(pairs, int).reshape(-1, 2)


def joined(before, after, min_photos):
    """How many pairs of clusters are joined."""
    count = 0
    for number in range(after.max() + 1):
        held = Counter(before[after == number].tolist())
        large = sum(photos >= min_photos for cluster, photos in held.items() if cluster >= 0)
        count += large * (large - 1) // 2
    return count


if __name__ == "__main__":
    main()
