"""The reader of a run: what is there and what is missing, from a folder and from paths, and files of other runs."""

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.core.artefact import ArtefactError
from bow2cnn.run.run import PLACES, Run

SHA256 = np.random.default_rng(0).integers(0, 256, (4, 32)).astype(np.uint8)


@pytest.fixture
def results(tmp_path):
    """A run in two shards up to its graph, with pairs of two sources, two benchmarks and an experiment."""
    photos = {"sha256": SHA256, "width": np.full(4, 80), "height": np.full(4, 60), "path": ["a", "b", "c", "d"]}
    artefact.write(tmp_path / "collection/collection.h5", "collection", photos, {"shards": 2})
    for shard in range(2):
        artefact.write(tmp_path / f"features/shard-{shard:03d}.h5", "features", {"sha256": SHA256[2 * shard : 2 * shard + 2]})
    pair = np.array([[0, 1]], np.int32)
    artefact.write(tmp_path / "clustering/graph.h5", "graph", {"pair": pair, "inliers": np.array([9]), "sha256": SHA256}, {"least": 5})
    for source in ("words", "models"):
        artefact.write(tmp_path / f"pairs/{source}/negatives.h5", "negatives", {"place": np.arange(4)})
    for name in ("old-town", "dvd"):
        artefact.write(tmp_path / f"benchmarks/{name}/collection.h5", "collection", {"path": [name]})
    artefact.write(tmp_path / "experiments/gem/history.h5", "history", {"epoch": np.arange(2)})
    artefact.write(tmp_path / "evaluation/rankings-validation-words.h5", "ranking", {})
    return tmp_path


def test_a_folder_has_what_its_stages_have_made(results):
    run = Run.open(results)
    assert {name for name in PLACES if name in run} == {
        "collection", "features", "graph", "negatives", "benchmark_photos", "history", "rankings",
    }  # fmt: skip
    assert (run.sources, run.benchmarks, run.experiments) == (["models", "words"], ["dvd", "old-town"], ["gem"])
    assert run.names("rankings") == ["validation-words"] and run.names("graph") == run.names("truth") == []
    assert run.arrays("benchmark_photos", "old-town")["path"] == ["old-town"] and run.history("gem")["epoch"].tolist() == [0, 1]
    assert run.size(1) == (80, 60) and run.shards("features") == [results / f"features/shard-00{shard}.h5" for shard in range(2)]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda run: run.models, "reconstruction/models.h5: no such file; run the stage `reconstruction`"),
        (lambda run: run.shards("words"), "words/shard-*.h5: no such file; run the stage `index`"),
        (lambda run: run.positives("words"), "pairs/words/positives.h5: no such file; run the stage `pairs`"),
        (lambda run: run.history("other"), "experiments/other/history.h5: no such file; run the stage `training`"),
        (lambda run: run.gains, "evaluation/gains.json: no such file; run the stage `evaluation`"),
    ],
)
def test_what_is_missing_is_told_by_its_stage(results, ask, said):
    with pytest.raises(ArtefactError) as raised:
        ask(Run.open(results))
    assert str(raised.value) == f"{results}/{said}"
    with pytest.raises(ArtefactError) as raised:
        ask(Run({"collection": results / "collection/collection.h5"}))
    assert str(raised.value) == said


def test_a_shard_is_missing(results):
    (results / "features/shard-001.h5").unlink()
    with pytest.raises(ArtefactError, match="run the stage `features`"):
        Run.open(results).shards("features")


def test_paths_may_lie_anywhere_and_nothing_else_is_there(results):
    """As a rule gives them: empty for what the run does not have, whatever lies in its folder."""
    for number, (place, name) in enumerate([("collection/collection", "one"), ("clustering/graph", "two"), ("features/shard-000", "3")]):
        (results / f"{place}.h5").rename(results / f"{name}{number}.h5")
    files = {"collection": str(results / "one0.h5"), "graph": results / "two1.h5", "negatives": {}, "models": [], "split": None}
    run = Run({**files, "features": [results / "32.h5", str(results / "features/shard-001.h5")]})
    assert run.graph["pair"].tolist() == [[0, 1]] and len(run.shards("features")) == 2
    assert not {"negatives", "models", "split"} & {name for name in PLACES if name in run} and run.sources == []


def test_an_array_is_read_once_and_when_it_is_asked_for(results):
    run = Run.open(results)
    graph = run.graph
    assert "inliers" in graph and "match" not in graph and graph.params == {"least": 5} and graph.shape("sha256") == (4, 32)
    assert graph.part("sha256", 1, 3).tolist() == SHA256[1:3].tolist()
    pair = graph["pair"]
    graph.path.unlink()
    assert run.graph["pair"] is pair
    with pytest.raises(ArtefactError, match="no such file"):
        run.graph["inliers"]


@pytest.mark.parametrize(("name", "path"), [("graph", "clustering/graph"), ("features", "features/shard-001")])
def test_a_file_of_another_run_is_refused(results, name, path):
    arrays = artefact.read(results / f"{path}.h5", name)
    arrays["sha256"][0, 0] ^= 1
    artefact.write(results / f"{path}.h5", name, arrays)
    with pytest.raises(ArtefactError, match=f"{path}.h5: describes other photos than"):
        Run.open(results).graph if name == "graph" else Run.open(results).shards(name)
