"""Explaining a photo: each fate has its reason, photos are found by path, name and content, and the picture shows the chain."""

import hashlib
import shutil

import numpy as np
import pycolmap
import pytest
from PIL import Image

from bow2cnn.cli import main
from bow2cnn.core import artefact
from bow2cnn.explain import photo_in_model as model
from bow2cnn.explain.explanation import draw_explanation, explain
from bow2cnn.explain.photo_in_cluster import explain_cluster
from bow2cnn.reconstruction import colmap
from bow2cnn.run.find_photo import UnknownPhoto
from bow2cnn.run.run import Run

PHOTOS = 16


def pack(rows, dtype=np.int32):
    """Offsets and values of ragged rows."""
    return artefact.offsets([len(row) for row in rows]), np.array([value for row in rows for value in row], dtype)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Photos 0-4 are a cluster held together by 0-1, 1-2, 1-3, 3-4, of which model 0 has 0 to 2; 5 and 6 are a pair, too few; 7-9 are
    a cluster without a model, cut from the other (4-7); 10 was refused twice; nothing matches 11; 12 was not drawn; 13-15 are a
    cluster whose model a benchmark shows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    paths = [f"photos/{number:02d}.png" for number in range(PHOTOS)]
    for number, path in enumerate(paths):
        Image.new("RGB", (80, 60), (number * 9, 0, 0)).save(path)
    folder, pixel = tmp_path / "run", np.full(PHOTOS, 80, np.int32)
    sha256 = np.random.default_rng(0).integers(0, 256, (PHOTOS, 32)).astype(np.uint8)
    arrays = {"path": paths, "name": [path.removeprefix("photos/") for path in paths], "sha256": sha256, "width": pixel}
    rejected = {"bad.png": "not a photo", "a/twice.png": "video", "b/twice.png": "too large (9 x 9 pixels)"}
    rejected["a copy.png"] = "same bytes as photos/07.png"  # case P9
    lists = {"rejected/path": [f"photos/{name}" for name in rejected], "rejected/reason": list(rejected.values())}
    artefact.write(folder / "collection/collection.h5", "collection", arrays | lists | {"height": pixel - 20}, {"shards": 1})
    artefact.write(folder / "index/index.h5", "index", {"offset": np.arange(PHOTOS + 1) * 100})
    pairs = [(0, 1), (1, 2), (1, 3), (3, 4), (4, 7), (5, 6), (7, 8), (8, 9), (13, 14), (14, 15)]
    inliers = [50, 40, 30, 33, 15, 60, 20, 21, 70, 71]
    match = [[(feature, feature + 1) for feature in range(count)] for count in inliers]
    graph = {
        "pair": np.array(pairs, np.int32),
        "inliers": np.array(inliers, np.int32),
        "match_offset": artefact.offsets(inliers),
        "match": np.array([row for rows in match for row in rows], np.int32),
        "queried": np.ones(PHOTOS, bool),
        "refused": np.array([[2, 10], [4, 10]], np.int32),
    }
    artefact.write(folder / "clustering/graph.h5", "graph", graph)
    artefact.write(folder / "clustering/seeds.h5", "seeds", {"pair": np.array([[0, 1]], np.int32), "inliers": np.array([9], np.int32)})
    cluster = np.array([0] * 5 + [-1] * 2 + [1] * 3 + [-1] * 3 + [2] * 3, np.int32)
    cut = {"cut/pair": np.array([[4, 7]], np.int32), "cut/inliers": np.array([15], np.int32), "cut/parts": np.array([[5, 3]], np.int32)}
    cut["cut/reason"] = ["they lie at the same places"]
    artefact.write(folder / "clustering/clusters.h5", "clusters", {"cluster": cluster, **cut}, {"min_photos": 3})
    photo_offset, photo = pack([[0, 1, 2], [13, 14, 15]])
    offset, feature = pack([range(10), range(12), range(5), range(3), range(3), range(3)])
    models = {
        "model": np.array([0] * 3 + [-1] * 10 + [1] * 3, np.int32),
        "cluster": np.array([0, 2], np.int32),
        "photo": photo,
        "photo_offset": photo_offset,
        "observation_offset": offset,
        "observation/feature": feature,
        "observation/point": feature.astype(np.int64),
        "rejected/cluster": np.array([1], np.int32),
        "rejected/photos": np.array([3], np.int32),
        "rejected/reason": ["only 12 points"],
    }
    artefact.write(folder / "reconstruction/models.h5", "models", models)
    split = {"side": np.array([1, 0], np.int8), "place": np.array([0, 1], np.int32), "reason": ["training", "dropped: 3 photos match"]}
    split["contaminated"] = np.zeros(PHOTOS, bool)
    artefact.write(folder / "split/split.h5", "split", split)
    group, side = np.full(PHOTOS, -1, np.int32), np.zeros(PHOTOS, np.int8)
    group[:3], side[:3], group[[10, 11]], side[[10, 11]] = 0, 1, [2, 3], [1, 2]
    pool_offset, pool = pack([[1], [0, 2]])
    weak = np.array([[10, 0], [10, 1], [11, 5]], np.int32)
    queries = {"query": np.array([0, 1], np.int32), "pool_offset": pool_offset, "pool/photo": pool}
    artefact.write(folder / "pairs/models/positives.h5", "positives", queries)
    rule = {"place": group, "side": side, "cluster": cluster, "weak": weak, "doubt": cut["cut/pair"]}
    artefact.write(folder / "pairs/models/negatives.h5", "negatives", rule)
    tuples = {"query": [[0, 11]], "positive": [[1, 11]], "photo": [[[10], [2]]]}
    history = {f"negatives/{name}": np.array(values, np.int32) for name, values in tuples.items()}
    artefact.write(folder / "experiments/gem/history.h5", "history", {"chosen": np.int32(1), **history})
    keypoint = np.tile(np.array([20, 30, 4, 0, 0, 4], np.float32), (100 * PHOTOS, 1))
    features = {"offset": np.arange(PHOTOS + 1) * 100, "keypoint": keypoint, "descriptor": np.zeros((100 * PHOTOS, 128), np.uint8)}
    artefact.write(folder / "features/shard-000.h5", "features", features)
    return folder


def told(results, row):
    return "\n".join(explain(Run.open(results), row).lines[1:])


def test_a_photo_of_a_model(results):
    assert told(results, 0).splitlines() == [
        "cluster: 0, 5 photos; a verified pair joins it to the photo with most pairs (3):",
        "  00.png - 01.png: 50 inliers, a seed of min-hash",
        "3D model: 0, 3 photos; the photo sees 10 of its points",
        "training: place 0, training side: a query with 1 candidate positives, a candidate positive of 1 queries, a negative "
        "of other places",
        "  gem, all epochs: 1 x query",
    ]


def test_the_photo_with_most_pairs_names_its_strongest(results):
    lines = told(results, 1).splitlines()
    assert lines[0] == "cluster: 0, 5 photos; no other photo of it has as many verified pairs (3); the strongest:"
    assert [line.split(":")[0].strip() for line in lines[1:4]] == ["01.png - 00.png", "01.png - 02.png", "01.png - 03.png"]
    assert "gem, all epochs: 1 x positive" in lines[-1]


def test_a_photo_that_no_model_has(results):
    """Of the 33 features that 4 shares with 3, which is in no model, none reaches a point; 3 shares 30 with 1, which sees 12 points."""
    four, three = told(results, 4), told(results, 3)
    assert (
        "2 verified pairs join it to the photo with most pairs (3):\n  04.png - 03.png: 33 inliers, found by a query\n  03.png - 01.png"
        in four
    )
    assert (
        "  cut, because it is in doubt: 04.png - 07.png: 15 inliers joined groups of 5 and 3 photos, but they lie at the same places"
        in four
    )
    assert "3D model: none; the models of cluster 0 do not have it\n  model 0: no verified pair joins it to a photo of this model" in four
    assert (
        "model 0: 1 verified pairs reach 12 of its points; COLMAP registers a photo with 30 points that agree on one camera, or 15" in three
    )
    assert "training: not used; it is in a cluster but in no 3D model" in three


def test_a_photo_in_doubt(results):
    """4 and 7 keep the places of their clusters from being negatives of each other, though 4 is in no model."""
    assert "in doubt" not in told(results, 0)
    path = results / "pairs/models/negatives.h5"
    pairs = artefact.read(path, "negatives")
    pairs["place"][[8, 9]], pairs["side"][[8, 9]] = 4, 1
    artefact.write(path, "negatives", pairs)
    line = "\n  in doubt: cut pairs join its cluster to {} photos of 1 other places; they are not negatives of each other\n"
    assert line.format(2) in told(results, 0) and line.format(3) in told(results, 8)


def test_a_cluster_without_a_model(results):
    assert "3D model: none; the models of cluster 1 do not have it\n  a model of 3 photos was rejected: only 12 points" in told(results, 9)


def test_photos_in_no_cluster(results):
    too_few, refused, unmatched, undrawn = (told(results, row) for row in (5, 10, 11, 12))
    assert too_few.startswith(
        "cluster: none; verified pairs make a group of 2 photos with it, fewer than clustering.min_photos (3):\n  05.png - 06.png"
    )
    assert "training: not used; verified pairs join it to others" in too_few
    assert refused.startswith("cluster: none; no photo matches it: geometry refused 2 that looked like it\n3D model: none, because")
    assert (
        "a negative of all places, except of 1 places that it matches too weakly to be joined to them\n  gem, all epochs: 1 x negative"
        in refused
    )
    assert "none looked enough like it" in unmatched
    assert (
        "background photo (outside every cluster), validation side: a negative of all places\n"
        "  gem, all epochs: 1 x query with a changed copy of itself" in unmatched
    )
    assert "training: not used; enough other background photos (outside every cluster) were drawn (pairs.max_background)" in undrawn


def test_a_model_that_a_benchmark_shows(results):
    assert "training: not used; model 1 is left out: dropped: 3 photos match" in told(results, 14)


def test_masked_features_are_told(results):
    masked = np.zeros(100 * PHOTOS, bool)
    masked[100 * 5 : 100 * 5 + 30] = masked[100 * 12 : 100 * 13] = True
    artefact.write(results / "index/watermarks.h5", "watermarks", {"offset": np.arange(PHOTOS + 1) * 100, "masked": masked})
    artefact.write(results / "index/index.h5", "index", {"offset": np.array([*np.arange(13) * 100, *np.arange(12, PHOTOS) * 100])})
    assert "\nwatermarks: 30 of 100 local features are left out of the index" in told(results, 5)
    assert "\nwatermarks: all 100 local features are left out of the index" in told(results, 12)
    assert "training: not used; all its 100 local features are on watermarks" in told(results, 12)
    assert "watermarks" not in told(results, 0)


def test_a_photo_without_features(results):
    artefact.write(results / "index/index.h5", "index", {"offset": np.array([*np.arange(13) * 100, *np.arange(12, PHOTOS) * 100])})
    assert "training: not used; it has no local features; perhaps it cannot be read" in told(results, 12)


def test_a_background_photo_that_a_benchmark_shows(results):
    split = artefact.read(results / "split/split.h5", "split")
    split["contaminated"][12] = True
    artefact.write(results / "split/split.h5", "split", split)
    assert "training: not used; it matches a photo of a benchmark" in told(results, 12)


def test_a_run_that_began_midway(results):
    for path in ("graph", "clusters", "seeds"):
        (results / f"clustering/{path}.h5").unlink()
    none = "cluster: none was looked for, because the run began with"
    assert told(results, 0).startswith(f"{none} 3D models\n3D model: 0, 3 photos; the photo sees 10 of its points\ntraining: place 0")
    assert told(results, 12) == (
        f"{none} 3D models\n3D model: none; the models that the run began with do not have it\n"
        "training: not used; it is in no 3D model, and nothing else says what it shows"
    )
    (results / "reconstruction/models.h5").unlink()
    (results / "split/split.h5").unlink()
    (results / "pairs/models").rename(results / "pairs/database")
    assert told(results, 12) == (
        f"{none} pairs\n3D model: none was looked for, because the run began with pairs\ntraining: not used; the database does not have it"
    )


def test_a_photo_is_explained_by_every_source_of_pairs(results):
    """Photo 12, undrawn for the models, is a query of the other source; 5 is left out by both."""
    queries = {"query": np.array([12], np.int32), "pool_offset": np.array([0, 1]), "pool/photo": np.array([0], np.int32)}
    artefact.write(results / "pairs/words/positives.h5", "positives", queries)
    place = np.where(np.arange(PHOTOS) == 5, -1, 0)
    rule = {"place": place, "cluster": place, "side": np.where(place < 0, 0, 1).astype(np.int8)}
    artefact.write(results / "pairs/words/negatives.h5", "negatives", rule | {name: np.zeros((0, 2), int) for name in ("weak", "doubt")})
    twelve, five = told(results, 12), told(results, 5)
    assert "training with pairs of models: not used; enough other background photos (outside every cluster) were drawn" in twelve
    assert "training with pairs of words: place 0, training side: a query with 1 candidate positives" in twelve
    assert "training with pairs of words: not used; it shows what a benchmark shows" in five
    assert "all epochs" in twelve and "all epochs" not in five


def test_a_run_without_geometry(results):
    for path in ("clustering/graph", "clustering/clusters", "clustering/seeds", "reconstruction/models", "split/split"):
        (results / f"{path}.h5").unlink()
    (results / "pairs/models").rename(results / "pairs/words")
    none = "none was looked for, because the run takes its pairs from words"
    assert told(results, 0).startswith(f"cluster: {none}\n3D model: {none}\ntraining: place 0")


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("clustering/graph.h5", "cluster: not known yet; run the stage `clustering`"),
        ("clustering/clusters.h5", "cluster: not known yet; 1 photos match it"),
        ("reconstruction/models.h5", "3D model: not known yet; run the stage `reconstruction`"),
        ("pairs/models/negatives.h5", "training: not known yet; run the stage `pairs`"),
    ],
)
def test_a_run_that_is_not_finished(results, stage, line):
    stages = ["clustering/graph.h5", "clustering/clusters.h5", "reconstruction/models.h5", "pairs/models/negatives.h5"]
    for later in stages[stages.index(stage) :]:
        (results / later).unlink()
    shutil.rmtree(results / "experiments")
    assert line in told(results, 0)


def test_photos_are_found_by_path_name_and_content(results, tmp_path):
    run = Run.open(results)
    assert [run.find(name) for name in ("photos/03.png", tmp_path / "photos/03.png", "03.png")] == [3, 3, 3]
    assert [run.find(name) for name in ("photos/a copy.png", "a copy.png")] == [7, 7]
    for name, reason in (
        ("bad.png", "is not in the collection: not a photo$"),  # case P16
        ("twice.png", r"is not in the collection: 1 too large \(`collection.max_pixels` is the limit\), 1 video$"),
        ("photos/bad.png", "is not in the collection: not a photo"),
        ("0.png", "no such file"),
    ):
        with pytest.raises(UnknownPhoto, match=reason):
            run.find(name)
    copy = tmp_path / "copy.png"
    shutil.copy("photos/05.png", copy)
    with pytest.raises(UnknownPhoto, match="is not in the collection; `python -m bow2cnn search`"):
        run.find(copy)
    arrays = artefact.read(results / "collection/collection.h5", "collection")
    arrays["sha256"][5] = np.frombuffer(hashlib.sha256(copy.read_bytes()).digest(), np.uint8)
    artefact.write(results / "collection/collection.h5", "collection", arrays, {"shards": 1})
    assert Run.open(results).find(copy) == 5


def test_the_picture_has_a_panel_for_every_pair(results):
    run = Run.open(results)
    heights = [draw_explanation(run, row, explain(run, row)).height for row in (11, 4, 1)]
    assert [len(explain_cluster(run, row)[1]) for row in (11, 4, 1)] == [0, 2, 3]
    assert heights[0] < heights[1] <= heights[2]


def test_the_command(results, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(results), "03.png", "--draw", "story.png"])
    assert ended.value.code == 0 and capsys.readouterr().out.startswith(
        "photos/03.png: 80 x 60 pixels, row 3 of the collection\ncluster: 0"
    )
    assert Image.open("story.png").format == "PNG"
    for arguments, reason in (
        (["nothing.png"], "error: nothing.png: no such file, and no photo of that name\n"),
        (["03.png", "--draw", "story.pdf"], "error: story.pdf: the name of a picture must end in .png, .jpg, .jpeg\n"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["explain", str(results), *arguments])
        assert ended.value.code == 1 and capsys.readouterr().err == reason


def test_the_numbers_told_are_those_that_colmap_is_given():
    assert colmap._LENIENT["abs_pose_min_num_inliers"] == model._LENIENT
    assert pycolmap.IncrementalPipelineOptions().mapper.abs_pose_min_num_inliers == model._LEAST
