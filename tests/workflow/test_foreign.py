"""Files of the user's that do not fit: one line with the file and the cause, and nothing of it is run."""

import copy
import hashlib
import json
import os
import shutil

import pytest
import torch
from harness import RESULTS, ROOT, ended, planned
from PIL import Image

from bow2cnn.core import artefact
from bow2cnn.network.model import RetrievalNetwork

pytestmark = pytest.mark.slow
CONFIG = """
photos: [photos]
results: out
benchmarks: {held-out: {photos: queries, gnd: gnd.json}}
experiments: {small: {network: squeezenet1_1, weights: weights.pth}}
"""


class Hostile:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture
def own(run):
    """A run with a benchmark and weights of the user's."""
    run.code = ROOT
    for path in ("photos/a.png", "queries/q.png", "queries/x.png"):
        (run.folder / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (100, 80), "grey").save(run.folder / path)
    (run.folder / "own.yaml").write_text(CONFIG)
    (run.folder / "gnd.json").write_text(json.dumps({"imlist": ["x.png"], "qimlist": ["q.png"], "gnd": [{"ok": [0]}]}))
    (run.folder / "weights.pth").touch()
    return run


def complaint(own, target):
    """The last line of the failed job's log; the user sees it, and no traceback."""
    output = own("--configfile", "own.yaml", "--cores", 1, target, fails=True)
    (line,) = {line for line in output.splitlines() if " error: " in line}
    assert "Traceback" not in output
    return line.split(" error: ")[1]


@pytest.mark.parametrize(
    ("names", "cause"),
    [
        (["x.png", "gone.png"], "imlist names 'gone.png', which is not in queries"),
        (["../photos/a.png"], "imlist names '../photos/a.png', which is outside its folder"),
        (["link.png"], "imlist names 'link.png', which is outside its folder"),
        (["text.png"], "names text.png, which cannot be used: not a photo"),
    ],
)
def test_ground_truth_that_names_what_is_no_photo_of_its_folder(own, names, cause):
    (own.folder / "queries/link.png").symlink_to(own.folder / "photos/a.png")
    (own.folder / "queries/text.png").write_text("text")
    (own.folder / "gnd.json").write_text(json.dumps({"imlist": names, "qimlist": ["q.png"], "gnd": [{"ok": [0]}]}))
    assert complaint(own, "collection") == f"gnd.json: {cause}"


def test_paths_in_artefacts_lead_nowhere_else(own):
    own("collection", "--configfile", "own.yaml", "--cores", 1)
    Image.new("RGB", (100, 80), "white").save(own.folder / "secret.png")
    foreign = own.folder / "out/benchmarks/held-out/collection.h5"
    arrays = artefact.read(foreign, "collection")
    artefact.write(foreign, "collection", {**arrays, "path": [arrays["path"][0], str(own.folder / "secret.png")]})
    own("out/benchmarks/held-out/features.h5", "--configfile", "own.yaml", "--cores", 1)
    errors = artefact.read(own.folder / "out/benchmarks/held-out/features.h5", "features")["error"]
    assert errors == ["", "outside the folders of the config"]


def test_photos_of_a_benchmark_are_followed(own):
    collect = "collection", "--configfile", "own.yaml", "--cores", 1
    assert "read_benchmark" in own(*collect)
    assert "read_benchmark" not in own(*collect), "nothing has changed"
    Image.new("RGB", (100, 80), "white").save(own.folder / "queries/x.png")
    assert "read_benchmark" in own(*collect)
    collection = artefact.read(own.folder / "out/benchmarks/held-out/collection.h5", "collection")
    sha256 = [hashlib.sha256((own.folder / "queries" / name).read_bytes()).digest() for name in collection["name"]]
    assert list(map(bytes, collection["sha256"])) == sha256
    assert {"extract_benchmark_features", "describe_benchmark"} <= planned(own("-n", "--configfile", "own.yaml")).keys()
    (own.folder / "queries/x.png").unlink()
    for _ in range(2):
        assert complaint(own, "collection") == "gnd.json: imlist names 'x.png', which is not in queries"


def test_a_file_is_followed_by_its_bytes_and_not_by_its_time(own):
    """A restored backup is older than what it replaces; what is newer may be the same."""
    more = "--configfile", "own.yaml", "--cores", 1
    torch.save(RetrievalNetwork("squeezenet1_1", "gem").backbone.state_dict(), own.folder / "weights.pth")
    wanted = "out/benchmarks/held-out/collection.h5", "out/networks/squeezenet1_1/network.h5"
    made = own("scan", *more) + own(*wanted, *more)
    assert {"read_benchmark", "start_network"} <= ended(made)
    assert planned(own(*wanted, *more, "-n")) == {}
    for name in ("gnd.json", "weights.pth"):
        os.utime(own.folder / name)
    assert planned(own(*wanted, *more, "-n")) == {}, "newer, and the same"
    (own.folder / "gnd.json").write_text(json.dumps({"imlist": ["q.png"], "qimlist": ["q.png"], "gnd": [{"ok": [0]}]}))
    os.utime(own.folder / "gnd.json", (1, 1))
    assert planned(own(*wanted, *more, "-n")).keys() - {"total"} == {"read_benchmark"}
    torch.save(RetrievalNetwork("squeezenet1_1", "gem").backbone.state_dict(), own.folder / "weights.pth")
    os.utime(own.folder / "weights.pth", (1, 1))
    assert {"read_benchmark", "start_network"} <= ended(own(*wanted, *more))
    assert planned(own(*wanted, *more, "-n")) == {}
    state = torch.load(own.folder / "weights.pth")
    arrays = artefact.read(own.folder / wanted[1], "network")
    assert all((arrays[f"weight/{name}"] == value.numpy()).all() for name, value in state.items())
    assert artefact.read(own.folder / wanted[0], "collection")["name"] == ["q.png"]


def test_distractors_join_the_database(own):
    """From a folder that nothing else in the config names."""
    collect = "collection", "--configfile", "own.yaml", "--cores", 1
    own(*collect)
    (own.folder / "more/deep").mkdir(parents=True)
    Image.new("RGB", (100, 80), "white").save(own.folder / "more/deep/d.png")
    (own.folder / "own.yaml").write_text(CONFIG.replace("gnd: gnd.json", "gnd: gnd.json, distractors: [more]"))
    own(*collect)
    own("out/benchmarks/held-out/features.h5", "--configfile", "own.yaml", "--cores", 1)
    benchmark = own.folder / "out/benchmarks/held-out"
    assert artefact.read(benchmark / "collection.h5", "collection")["name"] == ["q.png", "x.png", "more/deep/d.png"]
    assert artefact.read(benchmark / "features.h5", "features")["error"] == ["", "", ""]


def test_another_benchmark_is_no_reason_to_read_the_photos_again(own):
    own("collection", "--configfile", "own.yaml", "--cores", 1)
    lists = [own.folder / "out/collection/collection.h5", *(own.folder / "out/collection").glob("shard-*.h5")]
    before = [path.stat().st_mtime_ns for path in lists]
    again = ("--config", "benchmarks={again: {photos: queries, gnd: gnd.json}}")
    assert planned(own("collection", "-n", "--configfile", "own.yaml", *again)) == {"collection": 1, "read_benchmark": 1}
    own("collection", "--configfile", "own.yaml", "--cores", 1, *again)
    assert [path.stat().st_mtime_ns for path in lists] == before and len(before) == 5
    assert (own.folder / "out/collection/benchmark-again.json").exists()


@pytest.fixture
def meddled(finished, tmp_path):
    """A copy of a finished run; call it with a change of its results: what the user is told of it."""
    folder = tmp_path / "meddled"
    shutil.copytree(finished.folder, folder, symlinks=True)
    run = copy.copy(finished)
    run.folder, run.code = folder, folder / "code"

    def after(change):
        change(folder / RESULTS)
        output = run("--configfile", "tiny.yaml", "--cores", 2, fails=True)
        assert "Traceback" not in output, output[-3000:]
        (line,) = {line.split(" error: ")[1] for line in output.splitlines() if " error: " in line}
        return line

    return after


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda results: shutil.copy(results / "features/shard-001.h5", results / "features/shard-000.h5"),
            "features/shard-000.h5: describes other photos than {results}/collection/shard-000.h5; delete",
        ),
        (
            lambda results: shutil.copy(results / "words/shard-000.h5", results / "words/shard-001.h5"),
            "words/shard-001.h5: describes other photos than {results}/collection/collection.h5; delete",
        ),
        (lambda results: os.truncate(results / "evaluation/gains.json", 50), "evaluation/gains.json: damaged (not the gains of"),
        (lambda results: os.truncate(results / "evaluation.csv", 340), "evaluation.csv: damaged (not a table); delete"),
    ],
)
def test_results_that_do_not_belong_together(meddled, change, said):
    assert meddled(change).startswith(f"{RESULTS}/{said.format(results=RESULTS)}")


def test_weights_of_another_network(own):
    torch.save(RetrievalNetwork("resnet18").backbone.state_dict(), own.folder / "weights.pth")
    assert complaint(own, "out/networks/squeezenet1_1/network.h5").startswith("weights weights.pth: features.0.weight is missing; is this")


def test_code_in_weights(own):
    torch.save({"features.0.weight": Hostile()}, own.folder / "weights.pth")
    assert complaint(own, "out/networks/squeezenet1_1/network.h5").startswith("weights weights.pth: not a state dict saved by torch.save")
    assert not (own.folder / "ran").exists()
