"""Files of the user's that do not fit: one line with the file and the cause, and nothing of it is run."""

import hashlib
import json
import os

import pytest
import torch
from harness import ROOT, planned
from PIL import Image

from bow2cnn import artefact
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
        (["text.png"], "names text.png, which is not a photo"),
    ],
)
def test_ground_truth_that_names_what_is_no_photo_of_its_folder(own, names, cause):
    (own.folder / "queries/link.png").symlink_to(own.folder / "photos/a.png")
    (own.folder / "queries/text.png").write_text("text")
    (own.folder / "gnd.json").write_text(json.dumps({"imlist": names, "qimlist": ["q.png"], "gnd": [{"ok": [0]}]}))
    assert complaint(own, "collection") == f"gnd.json: {cause}"


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


def test_another_benchmark_is_no_reason_to_read_the_photos_again(own):
    own("collection", "--configfile", "own.yaml", "--cores", 1)
    lists = [own.folder / "out/collection/collection.h5", *(own.folder / "out/collection").glob("shard-*.h5")]
    before = [path.stat().st_mtime_ns for path in lists]
    again = ("--config", "benchmarks={again: {photos: queries, gnd: gnd.json}}")
    assert planned(own("collection", "-n", "--configfile", "own.yaml", *again)) == {"collection": 1, "read_benchmark": 1}
    own("collection", "--configfile", "own.yaml", "--cores", 1, *again)
    assert [path.stat().st_mtime_ns for path in lists] == before and len(before) == 5
    assert (own.folder / "out/collection/benchmark-again.json").exists()


def test_weights_of_another_network(own):
    torch.save(RetrievalNetwork("resnet18").backbone.state_dict(), own.folder / "weights.pth")
    assert complaint(own, "out/networks/squeezenet1_1/network.h5").startswith("weights weights.pth: features.0.weight is missing; is this")


def test_code_in_weights(own):
    torch.save({"features.0.weight": Hostile()}, own.folder / "weights.pth")
    assert complaint(own, "out/networks/squeezenet1_1/network.h5").startswith("weights weights.pth: not a state dict saved by torch.save")
    assert not (own.folder / "ran").exists()
