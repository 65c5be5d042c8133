"""A run whose photos become more and fewer: what was known is kept, what is gone is gone everywhere."""

import html
import re
import shutil

import numpy as np
import pytest
from harness import RESULTS, tiny_run

from bow2cnn.core import artefact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grown(finished, tmp_path_factory):
    """A run on the tiny photos but every tenth; then, with `output`, one with all of them; and the photos of both."""
    run = tiny_run(tmp_path_factory.mktemp("growing") / "run")
    run.results = run.folder / RESULTS
    shutil.copytree(finished.folder / "tiny-photos", run.folder / "tiny-photos")
    run.photos = run.folder / "tiny-photos/photos"
    photos = artefact.read(finished.results / "collection/collection.h5", "collection", ["path"])["path"]
    run.late = [run.folder / path for path in photos[::10]]
    aside = run.folder / "aside"
    aside.mkdir()
    for number, path in enumerate(run.late):
        shutil.move(path, aside / str(number))
    run("--configfile", "tiny.yaml", "--cores", 2, "reconstruction", "retrieval")
    run.vocabulary = (run.results / "vocabulary/vocabulary.h5").read_bytes()
    for number, path in enumerate(run.late):
        shutil.move(aside / str(number), path)
    run.output = run("--configfile", "tiny.yaml", "--cores", 2, "reconstruction", "retrieval")
    return run


def known(results, stage):
    """(new, all) photos that the logs of a stage name, summed over its jobs."""
    texts = [path.read_text(encoding="utf-8") for path in (results / "logs" / stage).rglob("*.log")]
    found = [re.search(r": (\d+) of (\d+) photos are new", text) for text in texts]
    return tuple(sum(int(match[group]) for match in found if match) for group in (1, 2))


def shas(path, kind):
    return {bytes(sha) for sha in artefact.read(path, kind, ["sha256"])["sha256"]}


def test_only_new_photos_cost_work_and_the_vocabulary_stays(grown):
    late = len(grown.late)
    broken = sum(bool(error) for path in (grown.results / "features").glob("*.h5") for error in artefact.read(path, "features")["error"])
    assert known(grown.results, "extract_features")[0] == late + broken, "what could not be read is tried again"
    assert known(grown.results, "quantise_words")[0] == late
    assert late <= known(grown.results, "grow_graph")[0] <= late + 3, "and photos in which more is masked"
    assert "vocabulary: clustering" not in grown.output
    assert (grown.results / "vocabulary/vocabulary.h5").read_bytes() == grown.vocabulary
    assert "retrieval: the teacher" not in grown.output, "the teacher's own benchmark has not changed"


def test_the_new_photos_are_in_the_models(grown, finished):
    models = artefact.read(grown.results / "reconstruction/models.h5", "models")
    collection = artefact.read(grown.results / "collection/collection.h5", "collection")
    late = {str(path.relative_to(grown.folder)) for path in grown.late}
    rows = [row for row, path in enumerate(collection["path"]) if path in late]
    fresh = artefact.read(finished.results / "reconstruction/models.h5", "models")["model"]
    # Models that grow are not those built at once: processors differ in which of the weakest photos they take.
    assert np.count_nonzero(models["model"][rows] >= 0) >= 0.5 * np.count_nonzero(fresh[rows] >= 0) > 0
    assert np.count_nonzero(models["model"] >= 0) >= 0.9 * np.count_nonzero(fresh >= 0)


def test_a_vocabulary_that_is_asked_for_is_that_of_all_photos(grown, finished):
    grown("vocabulary", "--configfile", "tiny.yaml", "--cores", 2, "--forcerun", "train_vocabulary")
    fresh = (grown.results / "vocabulary/vocabulary.h5").read_bytes()
    assert fresh != grown.vocabulary and fresh == finished.contents["vocabulary/vocabulary.h5"]


def test_photos_that_are_gone_are_gone_everywhere(grown):
    gone = shas(grown.results / "collection/collection.h5", "collection")
    for path in grown.late:
        path.unlink()
    grown("--configfile", "tiny.yaml", "--cores", 2)
    left = shas(grown.results / "collection/collection.h5", "collection")
    gone -= left
    assert len(gone) == len(grown.late)
    for path, kind in (("index/index.h5", "index"), ("clustering/graph.h5", "graph")):
        assert len(artefact.read(grown.results / path, kind, ["content"])["content"]) == len(left)
    for path in (grown.results / "features").glob("*.h5"):
        assert shas(path, "features") <= left
    assert len(artefact.read(grown.results / "reconstruction/models.h5", "models")["model"]) == len(left)
    assert known(grown.results, "extract_features")[0] <= 1, "one photo of the demo cannot be read"
    assert len(artefact.read(grown.results / "pairs/models/negatives.h5", "negatives")["place"]) == len(left)
    descriptors = list(grown.results.glob("*/*/descriptors/collection.h5"))
    assert len(descriptors) == 2 and all(shas(path, "descriptors") == left for path in descriptors)
    page = (grown.results / "report.html").read_text(encoding="utf-8")
    there = [html.escape(name) for name in artefact.read(grown.results / "collection/collection.h5", "collection")["name"]]
    assert sum(name in page for name in there) > 20
    assert not [path for path in grown.late if path.name in page]


@pytest.mark.parametrize("change", ["features={'max_features': 900}", "vocabulary={'words': 500}"])
def test_other_features_make_other_words_even_where_photos_change_too(grown, change):
    photo = next(grown.photos.rglob("*.jpg"))
    aside = grown.folder / "aside" / photo.name
    shutil.move(photo, aside)
    try:
        grown("collection", "--configfile", "tiny.yaml", "--cores", 2)
        plan = grown("-n", "reconstruction", "--configfile", "tiny.yaml", "--config", change)
    finally:
        shutil.move(aside, photo)
    assert "features: shard" in plan and "vocabulary: clustering" in plan


def test_without_photos_an_old_report_does_not_pass_for_a_new_one(grown):
    shutil.rmtree(grown.photos)
    grown.photos.mkdir()
    for _ in range(2):
        assert "collection: there is no file in tiny-photos/photos" in grown("--configfile", "tiny.yaml", "--cores", 2, fails=True)
