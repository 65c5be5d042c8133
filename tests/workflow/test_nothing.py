"""Collections in which there is nothing to find: the stage that found nothing ends the run with one line, and says what to do."""

import re
from dataclasses import replace

import pytest
from harness import ROOT, Run
from PIL import Image

from bow2cnn_demo import collection
from bow2cnn_demo.distractors import distractor
from bow2cnn_demo.photo import jpeg

pytestmark = pytest.mark.slow
PLAN = replace(collection.PLANS["tiny"], landmarks=1, size=(320, 240))
CONFIG = """
photos: [photos]
results: out
shards: {photos: 1, clusters: 1}
features: {max_features: 800}
vocabulary: {words: 512, sample: 20000, iterations: 3}
clustering: {min_inliers: 18}
"""


@pytest.fixture
def ended(run: Run):
    """Runs the workflow up to the pairs; the last line of the log of the rule that ended it, and which artefacts there are."""
    run.code = ROOT  # its compiled functions are there already
    (run.folder / "photos").mkdir()
    (run.folder / "own.yaml").write_text(CONFIG)

    def start(rule):
        output = run("--configfile", "own.yaml", "--cores", 2, "pairs", fails=True)
        assert re.findall(r"^Error in (?:rule|checkpoint) (\w+)", output, re.M) == [rule], output[-4000:]
        (log,) = (run.folder / "out/logs" / rule).glob("*.log")
        line = log.read_text().splitlines()[-1]
        assert line in output, "the user sees it without looking for the log"
        assert "Traceback" not in output
        return line.split(" error: ")[1], {path.name for path in (run.folder / "out").rglob("*.h5")}

    return start


def test_an_empty_folder(ended):
    line, left = ended("scan")
    assert line == "collection: there is no file in photos; put photos there, or name another folder in `photos`"
    assert {"collection.h5", "shard-000.h5"} <= left


def test_a_folder_without_a_usable_photo(ended, run):
    for name, data in (("a.jpg", b""), ("b.jpg", b"text")):
        (run.folder / "photos" / name).write_bytes(data)
    (run.folder / "photos/link.jpg").symlink_to("a.jpg")
    line, left = ended("scan")
    assert line == (
        "collection: none of the 3 files in photos is a usable photo: 2 not a photo, 1 symbolic link "
        "(`follow_links: true` in `collection` follows them); "
        "`python -m bow2cnn show out/collection/collection.h5` lists them"
    )
    assert "collection.h5" in left


def test_a_single_photo(ended, run):
    (run.folder / "photos/a.jpg").write_bytes(jpeg(distractor(0, 0, PLAN.size)))
    line, left = ended("train_vocabulary")
    assert line.startswith("vocabulary: 1 of 1 photos has local features; ") and line.endswith("so add photos")
    assert "vocabulary.h5" not in left


def test_two_copies_of_one_photo(ended, run):
    """Words that all photos have tell nothing, so there is not even a candidate pair."""
    for quality in (50, 90):
        Image.fromarray(distractor(0, 0, PLAN.size)).save(run.folder / f"photos/{quality}.jpg", quality=quality)
    line, _ = ended("cut_clusters")
    assert "no two of the 2 photos match" in line


def test_copies_of_one_photo(ended, run):
    for quality in range(30, 100, 10):
        Image.fromarray(distractor(0, 0, PLAN.size)).save(run.folder / f"photos/{quality}.jpg", quality=quality)
    line, _ = ended("gather_models")
    assert line.startswith("models: no 3D model came of the clusters (1 x ") and "add photos that show the same place from" in line


def test_unrelated_photos(ended, run):
    for number in range(30):
        (run.folder / f"photos/{number}.jpg").write_bytes(jpeg(distractor(0, number, PLAN.size)))
    line, left = ended("cut_clusters")
    assert line.startswith("clusters: out/clustering/graph.h5 has no group of ") and "of the 30 photos match" in line
    assert "add photos that overlap, or lower clustering.min_inliers" in line
    assert {"index.h5", "seeds.h5", "graph.h5"} <= left and "clusters.h5" not in left


def test_a_single_landmark(ended, run):
    collection.render_landmark(run.folder, 0, PLAN, 0)
    line, left = ended("find_pairs")
    assert line.startswith("pairs: of the places with a 3D model 1 can train and 0 validate; training needs at least two different places")
    assert "negatives of the other" in line and line.endswith("add photos of other places")
    assert {"clusters.h5", "models.h5", "split.h5"} <= left and "negatives.h5" not in left
