"""Photos whose truth is known, and what the first stages make of them: rendered and computed once for all tests."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from seeding import write_seeds

from bow2cnn.clustering.clusters import cut_clusters
from bow2cnn.clustering.growth import grow_graph
from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.features.extract import extract_features
from bow2cnn.index.build import build_index
from bow2cnn.index.watermarks import find_watermarks
from bow2cnn.index.words import quantise_shard
from bow2cnn.reconstruction.gather_models import gather_models
from bow2cnn.reconstruction.reconstruct import reconstruct_shard
from bow2cnn.vocabulary.train import train_vocabulary
from bow2cnn_demo import collection

SHARDS = 2
MAX_HAMMING = 24


@pytest.fixture
def one_thread():
    """Several of torch's threads on small work wait for each other longer than they work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """A folder with nine photos of each of two landmarks and four of none; path -> `Record` with the true camera."""
    folder = tmp_path_factory.mktemp("rendered")
    plan = replace(collection.PLANS["tiny"], landmarks=2)
    records = [record for landmark in range(2) for record in collection.render_landmark(folder, 0, plan, landmark)]
    records += [record for number in range(4) for record in collection.render_distractor(folder, 0, plan, number)]
    return SimpleNamespace(folder=folder / "photos", records={str(folder / record.path): record for record in records})


@pytest.fixture(scope="session")
def made(rendered, tmp_path_factory):
    """The artefacts of the rendered photos up to the index: paths, the collection's arrays, and per row the landmark (-1 none)."""
    folder = tmp_path_factory.mktemp("made")
    paths = {name: folder / f"{name}.h5" for name in ("vocabulary", "watermarks", "index", "seeds", "graph", "clusters")}
    scan([rendered.folder], folder, SHARDS, 64, 10**7)
    paths["collection"] = folder / "collection.h5"
    paths["features"] = [folder / f"features-{shard}.h5" for shard in range(SHARDS)]
    paths["words"] = [folder / f"words-{shard}.h5" for shard in range(SHARDS)]
    for shard, features in enumerate(paths["features"]):
        extract_features(folder / f"shard-{shard:03d}.h5", features, workers=2, max_features=1500)
    train_vocabulary(paths["features"], paths["vocabulary"], words=1024, sample=40_000, iterations=5, seed=0, threads=1)
    for features, words in zip(paths["features"], paths["words"], strict=True):
        quantise_shard(features, paths["vocabulary"], words, threads=1)
    find_watermarks(paths["collection"], paths["words"], paths["watermarks"], MAX_HAMMING, min_photos=8, seed=0)
    build_index(paths["collection"], paths["words"], paths["watermarks"], paths["vocabulary"], paths["index"])
    photos = artefact.read(paths["collection"], "collection")
    records = [rendered.records[path] for path in photos["path"]]
    landmark = np.array([-1 if record.landmark is None else record.landmark for record in records])
    return SimpleNamespace(**paths, photos=photos, records=records, landmark=landmark, max_hamming=MAX_HAMMING)


@pytest.fixture(scope="session")
def grown(made):
    """The same with seeds, graph and clusters."""
    write_seeds(made.index, made.seeds, MAX_HAMMING, threads=2)
    grow_graph(made.index, made.seeds, made.features, made.graph, 100, MAX_HAMMING, 8, 20, threads=2)
    cut_clusters(made.graph, made.clusters, min_photos=4, min_bridge_inliers=40)
    return made


@pytest.fixture(scope="session")
def modelled(grown, tmp_path_factory):
    """The same with the 3D models, and the folder of COLMAP's files."""
    folder = tmp_path_factory.mktemp("modelled")
    arguments = (grown.clusters, grown.graph, grown.collection, grown.features)
    reconstruct_shard(0, 1, *arguments, folder / "shard.h5", folder / "colmap", folder / "state", min_photos=4, seed=0)
    gather_models([folder / "shard.h5"], grown.collection, folder / "models.h5", folder / "state")
    return SimpleNamespace(**vars(grown), shard=folder / "shard.h5", colmap=folder / "colmap", models=folder / "models.h5")
