"""The grown graph of a run compared with the exhaustive graph, for which every photo is a query: photos found, and verifications needed.

    python bench/exhaustive_graph.py CONFIG RESULTS

CONFIG is the config of the run RESULTS, whose stage `clustering` is done. The stage's own code makes the exhaustive graph here. A
verification is a pair of photos that are compared by geometry: pairs with colliding sketches, pairs of the shortlists, pairs that parts of
a photo find, and pairs that are matched with all their features.
"""

import argparse
from pathlib import Path

import cv2
import networkx as nx
import yaml

from bow2cnn.clustering.growth import Grower
from bow2cnn.config.load import load
from bow2cnn.features.distances import distance_pool
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.engine import Engine
from bow2cnn.run.run import Run

SMALLEST = 5  # photos of a component


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("results", type=Path)
    options = parser.parse_args()
    config, run = load(yaml.safe_load(options.config.read_text())), Run.open(options.results)
    grown, whole = run.graph, exhaustive(config, run)
    collisions = int(run.seeds["collisions"])
    counts = verifications(grown) + collisions, verifications(whole)
    photos = found_photos(grown), found_photos(whole)
    for name, graph, count, found in zip(("grown", "exhaustive"), (grown, whole), counts, photos, strict=True):
        print(f"{name}: {len(graph['pair'])} pairs, {len(found)} photos in components of {SMALLEST} or more, {count} verifications")
    both = len(photos[0] & photos[1]) / len(photos[1])
    print(f"grown has {both:.1%} of the exhaustive graph's photos for {counts[0] / counts[1]:.1%} of its verifications")


def exhaustive(config, run):
    """Arrays of the graph for which every photo is asked, to the end of its shortlist."""
    engine = Engine.load(run.path("index"), config["retrieval"]["max_hamming"])
    store = FeatureStore(run.shards("features"))
    limits = config["clustering"]["min_word_inliers"], config["clustering"]["min_inliers"]
    shortlist = config["retrieval"]["shortlist"]
    grower = Grower(engine, store, shortlist, *limits, block=shortlist)
    cv2.setNumThreads(1)
    with distance_pool(config["threads"]) as pool:
        grower.confirm(grower.ask(range(len(engine)), pool), pool)
    return grower.arrays()


def verifications(graph):
    return int(graph["verified"].sum() + graph["verified_beyond"].sum()) + len(graph["pair"]) + len(graph["refused"])


def found_photos(graph):
    components = nx.connected_components(nx.Graph(graph["pair"].tolist()))
    return {photo for component in components if len(component) >= SMALLEST for photo in component}


if __name__ == "__main__":
    main()
