"""What a run gives to other programs: the reference trainer's database, and hloc's features, pairs and matches."""

import hashlib
import pickle
import shutil

import h5py
import numpy as np
import pycolmap
import pytest
import yaml
from harness import ended, planned

from bow2cnn.benchmarks.truth import ALL, read_truth
from bow2cnn.cli import main
from bow2cnn.core import artefact
from bow2cnn.features.store import FeatureStore
from bow2cnn.pairs.exclusions import read_negatives
from bow2cnn.pairs.positives import read_positives
from bow2cnn.photos.orientation import place_in_file, size_in_file

COLLECTION = "collection/collection.h5"


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture
def database(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished.folder)
    assert command("export", "retrieval-sfm", finished.results, tmp_path) == 0
    return pickle.loads((tmp_path / "retrieval-SfM-bow2cnn.pkl").read_bytes())  # noqa: S301 (our own)


def test_the_database_keeps_the_rules_of_the_reference(database, finished):
    """Sides share neither photos nor classes, pairs stay in their class, none is there twice, validation queries have one positive."""
    assert set(database) == {"train", "val"}
    for side in database.values():
        assert len(side["cids"]) == len(set(side["cids"])) == len(side["cluster"]) and len(side["qidxs"]) == len(side["pidxs"]) > 0
        pairs = list(zip(side["qidxs"], side["pidxs"], strict=True))
        assert all(side["cluster"][q] == side["cluster"][p] and q != p for q, p in pairs)
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)
        assert all(type(value) is int for name in ("cluster", "qidxs", "pidxs") for value in side[name])
    for name in ("cids", "cluster"):
        assert not set(database["train"][name]) & set(database["val"][name])
    assert len(database["val"]["qidxs"]) == len(set(database["val"]["qidxs"]))


def test_pairs_of_the_database_are_those_of_the_run(database, finished):
    rule = read_negatives(finished.results / "pairs/models/negatives.h5")
    sha256 = artefact.read(finished.results / "collection/collection.h5", "collection", ["sha256"])["sha256"]
    row = {bytes(digest).hex(): number for number, digest in enumerate(sha256)}
    pairs = read_positives(finished.results / "pairs/models/positives.h5")
    pools = {query: set(pool["photo"].tolist()) for query, pool in zip(pairs.query.tolist(), pairs.pools, strict=True)}
    for side in database.values():
        photos = [row[cid] for cid in side["cids"]]
        classes = np.array(side["cluster"])
        for query in side["qidxs"]:
            same = classes == classes[query]
            assert same[rule.place[photos] == rule.place[photos[query]]].all(), "a place is one class"
        assert all(photos[p] in pools[photos[q]] for q, p in zip(side["qidxs"], side["pidxs"], strict=True))


def test_the_reference_picks_no_negative_that_we_forbid(database, finished, tmp_path, monkeypatch, capsys):
    """Case T8: every photo of another class may be a negative there. Some background photos may not; the command has an option for them."""
    rule = read_negatives(finished.results / "pairs/models/negatives.h5")
    sha256 = artefact.read(finished.results / "collection/collection.h5", "collection", ["sha256"])["sha256"]
    row = {bytes(digest).hex(): number for number, digest in enumerate(sha256)}
    for side in database.values():
        rows, classes = np.array([row[cid] for cid in side["cids"]]), np.array(side["cluster"])
        assert not rule.background[rows].any()
        for query in side["qidxs"]:
            assert not rule.related(rows[query], rows[classes != classes[query]]).any()
    monkeypatch.chdir(finished.folder)
    capsys.readouterr()
    assert command("export", "retrieval-sfm", finished.results, tmp_path / "more", "--background") == 0
    more = pickle.loads((tmp_path / "more/retrieval-SfM-bow2cnn.pkl").read_bytes())  # noqa: S301 (our own)
    assert len(more["train"]["cids"]) > len(database["train"]["cids"])
    assert more["train"]["qidxs"] and len(more["train"]["qidxs"]) == len(database["train"]["qidxs"])


def test_photos_lie_where_the_trainer_looks(database, tmp_path):
    """cnnimageretrieval's `cid2filename`: ims/CID[-2:]/CID[-4:-2]/CID[-6:-4]/CID."""
    for side in database.values():
        for cid in side["cids"]:
            path = tmp_path / "ims" / cid[-2:] / cid[-4:-2] / cid[-6:-4] / cid
            assert hashlib.sha256(path.read_bytes()).hexdigest() == cid


def test_hloc_gets_features_and_verified_pairs(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(finished.folder)
    assert command("export", "hloc", finished.results, tmp_path) == 0
    photos = artefact.read(finished.results / "collection/collection.h5", "collection", ["name", "width", "height", "orientation"])
    graph = artefact.read(finished.results / "clustering/graph.h5", "graph")
    assert capsys.readouterr().out == f"{tmp_path}: {len(photos['name'])} photos, {len(graph['pair'])} verified pairs\n"
    store = FeatureStore(sorted((finished.results / "features").glob("shard-*.h5")))
    with h5py.File(tmp_path / "features.h5") as features, h5py.File(tmp_path / "matches.h5") as matches:
        for row, name in enumerate(photos["name"]):
            keypoint, descriptor = store[row]
            group = features[name]
            size, orientation = (int(photos["width"][row]), int(photos["height"][row])), int(photos["orientation"][row])
            np.testing.assert_allclose(group["keypoints"][()], place_in_file(keypoint[:, :2], size, orientation) - 0.5, atol=1e-3)
            np.testing.assert_allclose(group["descriptors"][()].T * 512, descriptor, atol=0.1)
            assert group["image_size"][()].tolist() == list(size_in_file(size, orientation))
            assert (np.diff(group["scores"][()]) <= 0).all()
        lines = (tmp_path / "pairs.txt").read_text().splitlines()
        assert len(lines) == len(graph["pair"])
        for edge, line in enumerate(lines):
            names = line.split(" ")
            assert names == [photos["name"][row] for row in graph["pair"][edge]]
            found = matches["/".join(name.replace("/", "-") for name in names)]["matches0"][()]
            assert len(found) == len(features[names[0]]["keypoints"])
            match = graph["match"][slice(*graph["match_offset"][edge : edge + 2])]
            assert sorted(map(tuple, match.tolist())) == [(a, int(found[a])) for a in np.flatnonzero(found >= 0)]


def test_colmap_undistorts_the_photos_of_a_run(finished, tmp_path, monkeypatch):
    """Case T3: every photo of every model, some of them turned by EXIF; and hloc's features have the models' names."""
    monkeypatch.chdir(finished.folder)
    for format_ in ("colmap", "hloc"):
        assert command("export", format_, finished.results, tmp_path / format_) == 0
    folders = sorted((tmp_path / "colmap/sparse").iterdir())
    assert len(folders) == len(artefact.read(finished.results / "reconstruction/models.h5", "models")["cluster"])
    (tmp_path / "dense").mkdir()
    for folder in folders:
        pycolmap.undistort_images(tmp_path / "dense" / folder.name, folder, tmp_path / "colmap/images")
        model = pycolmap.Reconstruction(str(folder))
        made = pycolmap.Reconstruction(str(tmp_path / "dense" / folder.name / "sparse"))
        assert made.num_reg_images() == model.num_reg_images() > 0
        with h5py.File(tmp_path / "hloc/features.h5") as features:
            for image in model.images.values():
                assert (tmp_path / "dense" / folder.name / "images" / image.name).exists()
                assert features[image.name]["image_size"][()].tolist() == [image.camera.width, image.camera.height]
                places = np.array([point.xy for point in image.points2D])
                np.testing.assert_allclose(features[image.name]["keypoints"][()] + 0.5, places, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "cannot be read (No such file or directory)"),
        (lambda path: path.write_bytes(b"else"), "has changed since the run read it"),
    ],
)
def test_a_photo_that_is_gone_or_another_is_no_part_of_a_database(finished, tmp_path, capsys, monkeypatch, change, said):
    results = tmp_path / "run"
    for part in ("collection", "pairs"):
        shutil.copytree(finished.results / part, results / part)
    with artefact.Reader(results / "collection/collection.h5", "collection") as reader:
        params = reader.params
    arrays = artefact.read(results / "collection/collection.h5", "collection")
    row = int(artefact.read(results / "pairs/models/positives.h5", "positives", ["query"])["query"][0])
    own = tmp_path / "own.jpg"
    shutil.copy(finished.folder / arrays["path"][row], own)
    change(own)
    arrays["path"][row] = str(own)
    artefact.write(results / "collection/collection.h5", "collection", arrays, params)
    monkeypatch.chdir(finished.folder)
    assert command("export", "retrieval-sfm", results, tmp_path / "out") == 1
    assert f"error: {own}: {said}" in capsys.readouterr().err.splitlines()[-1]


def test_an_unfinished_run_is_one_line(tmp_path, capsys):
    for name in ("retrieval-sfm", "hloc"):
        assert command("export", name, tmp_path, tmp_path / "out") == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and "no such file; run the stage `" in error and error.count("\n") == 1


def test_a_run_starts_from_models_that_are_there(finished, run, tmp_path):
    """The finished run's own: places and positives are the same, and nothing is found or rebuilt. The benchmark is still kept apart."""
    for folder in (finished.results / "reconstruction").glob("colmap-*/*/"):
        shutil.copytree(folder, tmp_path / "colmap" / folder.name)
    config = yaml.safe_load((finished.folder / "tiny.yaml").read_text())
    photos = {name: str(finished.folder / path) for name, path in config["benchmarks"]["held-out"].items()}
    own = {
        "photos": [str(finished.folder / path) for path in config["photos"]],
        "models": str(tmp_path / "colmap"),
        "results": "results/own",
    }
    (run.folder / "own.yaml").write_text(yaml.safe_dump(config | own | {"benchmarks": {"held-out": photos}}))
    done = ended(run("--configfile", "own.yaml", "--cores", 2))
    assert {"read_models", "find_pairs", "find_contamination", "evaluate_systems"} <= done
    assert not {"find_seeds", "grow_graph", "cut_clusters", "reconstruct_clusters", "rank_benchmark", "write_pages"} & done
    assert "3D models" in (run.folder / "results/own/report.html").read_text(encoding="utf-8")
    folders = [path / "pairs/models" for path in (run.folder / "results/own", finished.results)]
    found, expected = (artefact.read(folder / "positives.h5", "positives") for folder in folders)
    for name in ("query", "pool/photo", "pool/shared"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert "pool/inliers" in expected and "pool/inliers" not in found, "nothing was verified"
    found, expected = (read_truth(folder / "validation.h5") for folder in folders)
    for (mine, _), (other, _) in zip(found.protocols[ALL], expected.protocols[ALL], strict=True):
        np.testing.assert_array_equal(mine, other)
    found, expected = (read_negatives(folder / "negatives.h5") for folder in folders)
    inside = expected.cluster >= 0
    np.testing.assert_array_equal(found.place[inside], expected.place[inside])
    assert (found.place[~inside] == -1).all()
    (run.folder / "bare.yaml").write_text(yaml.safe_dump(config | own | {"benchmarks": {}, "results": "results/bare"}))
    done = planned(run("--configfile", "bare.yaml", "--cores", 2, "-n", "pairs"))
    assert "read_models" in done and not {"extract_features", "train_vocabulary", "build_index"} & set(done)


def test_a_database_is_trained_on_without_a_teacher(database, finished, run, tmp_path):
    """The one that was exported: networks train on the same pairs, and nothing before the training is run."""
    config = yaml.safe_load((finished.folder / "tiny.yaml").read_text())
    photos = {name: str(finished.folder / path) for name, path in config["benchmarks"]["held-out"].items()}
    own = {"photos": [str(tmp_path / "ims")], "database": str(tmp_path / "retrieval-SfM-bow2cnn.pkl"), "results": "results/own"}
    (run.folder / "own.yaml").write_text(yaml.safe_dump(config | own | {"benchmarks": {"held-out": photos}}))
    done = ended(run("--configfile", "own.yaml", "--cores", 2))
    assert not {"extract_features", "build_index", "reconstruct_clusters", "split_models", "rank_benchmark", "write_pages"} & done
    results = run.folder / "results/own"
    pairs = read_positives(results / "pairs/database/positives.h5")
    cids = [name.split("/")[-1] for name in artefact.read(results / COLLECTION, "collection", ["name"])["name"]]
    parts = zip(pairs.query.tolist(), pairs.pools, strict=True)
    found = {(cids[query], cids[row]) for query, pool in parts for row in pool["photo"]}
    given = {(side["cids"][q], side["cids"][p]) for side in database.values() for q, p in zip(side["qidxs"], side["pidxs"], strict=True)}
    assert found == given
    assert {"find_pairs", "train_network", "evaluate_systems"} <= done
    systems = {line.split(",")[0] for line in (results / "evaluation.csv").read_text().splitlines()[1:]}
    assert systems == {"off-the-shelf:efficientnet-lite0", "gem"}
    assert "the database does not have them" in (results / "report.html").read_text(encoding="utf-8")
