"""The backbones compute what torchvision's and efficientnet-lite-pytorch's do, activation by activation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from activations import fill, kept, photo

from bow2cnn.network.backbones import BACKBONES

STORED = json.loads((Path(__file__).parent / "activations.json").read_text())  # written by bench/activations.py


@pytest.mark.parametrize("name", STORED)
def test_activations_are_those_of_the_networks_own_code(name):
    backbone = BACKBONES[name].build().eval()
    backbone.load_state_dict(fill(backbone.state_dict()))
    with torch.no_grad():
        found = kept(backbone(photo()))
    wanted = STORED[name]
    assert found["shape"] == wanted["shape"]
    np.testing.assert_allclose(found["length"], wanted["length"], rtol=1e-4)
    scale = wanted["length"] / np.sqrt(np.prod(wanted["shape"]))
    np.testing.assert_allclose(found["values"], wanted["values"], rtol=1e-3, atol=1e-4 * scale)


def test_every_network_of_convolutions_is_stored():
    assert STORED.keys() == {name for name, choice in BACKBONES.items() if not choice.class_token}  # the others: test_transformer.py


def test_what_is_stored_says_something():
    for wanted in STORED.values():
        assert wanted["length"] > 0 and len(set(wanted["values"])) > 3
