"""Files of the user's that do not fit: one line with the file and the cause, and nothing of it is run."""

import json
import os

import pytest
import torch
from harness import ROOT
from PIL import Image

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


def test_weights_of_another_network(own):
    torch.save(RetrievalNetwork("resnet18").backbone.state_dict(), own.folder / "weights.pth")
    assert complaint(own, "out/networks/squeezenet1_1/network.h5").startswith("weights weights.pth: features.0.weight is missing; is this")


def test_code_in_weights(own):
    torch.save({"features.0.weight": Hostile()}, own.folder / "weights.pth")
    assert complaint(own, "out/networks/squeezenet1_1/network.h5").startswith("weights weights.pth: not a state dict saved by torch.save")
    assert not (own.folder / "ran").exists()
