"""What users ran into with other tools, through all the stages it concerns: photos of another place, a fixed camera, a logo."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from bow2cnn.clustering.clusters import cut_clusters
from bow2cnn.clustering.growth import grow_graph
from bow2cnn.clustering.minhash import collide_sketches
from bow2cnn.clustering.seeds import find_seeds
from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.features.detector import Detector
from bow2cnn.features.extract import extract_features
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import PhotoFeatures
from bow2cnn.index.build import build_index
from bow2cnn.index.engine import Engine
from bow2cnn.index.query_words import quantise_query
from bow2cnn.index.watermarks import find_watermarks
from bow2cnn.index.words import quantise_shard
from bow2cnn.photos.decode import read_rgb
from bow2cnn.reconstruction.reconstruct import reconstruct_shard
from bow2cnn.retrieval.calibrate_inliers import calibrate_verification, read_min_inliers
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, count_ranking_inliers, search
from bow2cnn.vocabulary.train import train_vocabulary
from bow2cnn.vocabulary.vocabulary import Vocabulary
from bow2cnn_demo import collection

SIDE = 480


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Six photos of each of four landmarks and fourteen of none: RGB images and their places, -1 for none."""
    folder = tmp_path_factory.mktemp("scenes")
    plan = replace(collection.PLANS["tiny"], landmarks=4, photos=6)
    records = [record for landmark in range(4) for record in collection.render_landmark(folder, 1, plan, landmark)]
    records += [record for number in range(14) for record in collection.render_distractor(folder, 1, plan, number)]
    inside = [record for record in records if (folder / record.path).exists()]
    images = [shrink(read_rgb(str(folder / record.path), 2 * SIDE), SIDE) for record in inside]
    return images, np.array([-1 if record.landmark is None else record.landmark for record in inside])


def shrink(image, side):
    scale = side / max(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image


def run(folder, images):
    """The artefacts of a collection of images, `NUMBER.jpg` in their order, up to the clusters."""
    photos = folder / "photos"
    photos.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(photos / f"{number:03d}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    scan([photos], folder, 1, 64, 10**7)
    names = ("features", "vocabulary", "words", "watermarks", "index", "verification", "collisions", "seeds", "graph", "clusters")
    paths = SimpleNamespace(collection=folder / "collection.h5", **{name: folder / f"{name}.h5" for name in names})
    extract_features(paths.collection, paths.features, workers=2, max_features=1000, side=SIDE)
    train_vocabulary([paths.features], paths.vocabulary, words=1024, sample=50_000, iterations=5, seed=0, threads=1)
    quantise_shard(paths.features, paths.vocabulary, paths.words, threads=1)
    find_watermarks(paths.collection, [paths.words], paths.watermarks, 24, min_photos=4, seed=0)
    build_index(paths.collection, [paths.words], paths.watermarks, paths.vocabulary, paths.index)
    calibrate_verification(paths.index, [paths.features], paths.verification, 3, 100, 24, 0, 0, threads=2)
    collide_sketches(paths.index, paths.collisions, 0, 1, 3, 512, 0.02, 0, 2)
    find_seeds(paths.index, [paths.collisions], paths.verification, paths.seeds, 24, 2)
    grow_graph(paths.index, paths.seeds, [paths.features], paths.graph, 100, 24, 4, 12, threads=2, orphan_shortlist=5, view_shortlist=5)
    cut_clusters(paths.graph, paths.clusters, min_photos=5, min_bridge_inliers=45)
    names = artefact.read(paths.collection, "collection", ["name"])["name"]
    return SimpleNamespace(**vars(paths), image=np.array([int(name[:3]) for name in names]), photos=photos)


def test_photos_of_another_place_find_nothing_verified(scenes, tmp_path):
    """Case P1: two landmarks are the collection, the others and photos of nothing are asked with. And what is verified is right."""
    images, place = scenes
    kept = np.flatnonzero((place == 0) | (place == 1) | ((place == -1) & (np.arange(len(place)) % 2 == 0)))
    made = run(tmp_path, [images[row] for row in kept])
    engine, vocabulary = Engine.load(made.index, 24), Vocabulary.load(made.vocabulary)
    least = read_min_inliers(made.verification).features
    own_place = place[kept][made.image]

    def verified(keypoint, descriptor, scale, size):
        words = quantise_query(keypoint, descriptor, size, vocabulary, 3)
        ranking = search(engine, words, 100, MIN_EVIDENCE, max_expansion=0, expansion_inliers=15)["sv"]
        query = PhotoFeatures.unmasked(keypoint, descriptor, scale, size)
        return ranking.photo[count_ranking_inliers(engine, store, query, ranking, threads=2) >= least]

    detector, store = Detector(1000, SIDE), FeatureStore([made.features])
    for row in np.setdiff1d(np.arange(len(images)), kept):
        cv2.imwrite(str(tmp_path / "asked.png"), images[row][..., ::-1])
        size = images[row].shape[1::-1]
        assert len(verified(*detector.detect(str(tmp_path / "asked.png"), *size), size)) == 0
    right = 0
    for photo in np.flatnonzero(own_place >= 0).tolist():
        found = verified(*store[photo], store.scale(photo), tuple(engine.size[photo]))
        assert (own_place[found] == own_place[photo]).all()
        right += len(found) - 1
    assert right >= 20


def test_a_fixed_camera_is_one_cluster_that_says_why_it_has_no_model(scenes, tmp_path):
    """Case P12: thirty frames that differ by noise among photos of other things."""
    images, place = scenes
    rng = np.random.default_rng(0)
    scene = images[int(np.flatnonzero(place == 2)[0])].astype(np.float64)
    frames = [np.clip(scene + rng.normal(0, 1.0, scene.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    others = [images[row] for row in np.flatnonzero(place != 2)]
    made = run(tmp_path, frames + others)
    frame = made.image < 30
    watermarks = artefact.read(made.watermarks, "watermarks", ["masked", "offset"])
    assert watermarks["masked"].mean() < 0.01, "a series is no watermark"
    cluster = artefact.read(made.clusters, "clusters", ["cluster"])["cluster"]
    assert len(np.unique(cluster[frame])) == 1 and cluster[frame][0] >= 0 and (cluster[~frame] != cluster[frame][0]).all()
    shard = tmp_path / "models.h5"
    reconstruct_shard(
        0, 1, made.clusters, made.graph, made.collection, [made.features], shard, tmp_path / "colmap", tmp_path / "state", 5, 0
    )
    rejected = artefact.read(shard, "models", ["rejected/cluster", "rejected/reason"])
    reasons = dict(zip(rejected["rejected/cluster"].tolist(), rejected["rejected/reason"], strict=True))
    assert reasons[int(cluster[frame][0])] == "no model: the camera did not move between its 30 photos"


def stamp(image, scale):
    """A logo with its name, 12 pixels from the lower right corner."""
    logo = np.full((44, 170, 3), 235, np.uint8)
    cv2.circle(logo, (22, 22), 14, (30, 30, 30), 3)
    cv2.line(logo, (12, 30), (32, 14), (30, 30, 30), 3)
    for row, text in enumerate(("SHOT ON NOVA", "dual 48 mp camera")):
        cv2.putText(logo, text, (46, 19 + 18 * row), cv2.FONT_HERSHEY_DUPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    image[-12 - logo.shape[0] : -12, -12 - logo.shape[1] : -12] = logo
    return image


def test_a_logo_joins_no_clusters(scenes, tmp_path):
    """Case P11: a logo of one size in pixels on photos of different size."""
    images, place = scenes
    rng = np.random.default_rng(1)
    made = run(tmp_path, [stamp(image, rng.uniform(0.9, 1.8)) for image in images])
    ends = place[made.image][artefact.read(made.graph, "graph", ["pair"])["pair"]]
    right = (ends[:, 0] == ends[:, 1]) & (ends[:, 0] >= 0)
    assert right.sum() >= 20 and right.mean() >= 0.98
    cluster = artefact.read(made.clusters, "clusters", ["cluster"])["cluster"]
    for number in range(cluster.max() + 1):
        assert len(np.unique(place[made.image][cluster == number])) == 1
