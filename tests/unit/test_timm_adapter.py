"""The adapter for timm's networks, with a stand-in for timm: timm itself does not import beside every torch, and nobody has to have it."""

import copy
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from bow2cnn.core.artefact import ArtefactError
from bow2cnn.descriptors.describe import describe_photo
from bow2cnn.network.backbones import find, is_known
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pretrained import load_weights
from bow2cnn.network.storage import load_network, save_network


class Convolutions(nn.Module):
    """As timm's ResNets and ConvNeXts are: `forward_features` gives a map; a part of the head has weights."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2)
        self.stages = nn.Sequential(nn.Sequential(nn.Conv2d(4, 6, 3, 2), nn.BatchNorm2d(6)), nn.Conv2d(6, 8, 3, 2))
        self.head = nn.Module()
        self.head.norm = nn.LayerNorm(8)
        self.num_features = 999  # not what comes out

    def forward_features(self, x):
        return self.stages(self.stem(x))


class ChannelsLast(Convolutions):
    """As timm's Swin is."""

    output_fmt = "NHWC"

    def forward_features(self, x):
        return super().forward_features(x).permute(0, 2, 3, 1)


class OneSize(Convolutions):
    def forward_features(self, x):
        assert x.shape[2:] == (224, 224), f"Input height ({x.shape[2]}) doesn't match model (224)."
        return super().forward_features(x)


class Transformer(nn.Module):
    """As timm's vision transformers are: a class token and two more, then the patches, row by row."""

    num_prefix_tokens = 3

    def __init__(self):
        super().__init__()
        self.cls_token, self.reg_token = nn.Parameter(torch.randn(1, 1, 5)), nn.Parameter(torch.randn(1, 2, 5))
        self.patch_embed = nn.Module()
        self.patch_embed.proj, self.patch_embed.patch_size = nn.Conv2d(3, 5, 8, 8), (8, 8)
        self.blocks = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
        self.norm = nn.LayerNorm(5)

    def forward_features(self, x):
        patches = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        return self.norm(self.blocks(torch.cat([self.cls_token, self.reg_token, patches], 1)))


CNNS = {"convolutions": Convolutions, "channels_last": ChannelsLast, "one_size": OneSize}


@pytest.fixture
def timm(monkeypatch):
    """`timm.create_model` and `timm.data.resolve_model_data_config` as timm has them."""

    def create_model(name, pretrained=False, **arguments):
        assert not pretrained and arguments.pop("num_classes") == 0
        if name == "transformer":
            assert arguments == {"dynamic_img_size": True}
            return Transformer()
        if name not in CNNS:
            raise RuntimeError(f"Unknown model ({name})")
        return CNNS[name](**arguments)  # a TypeError where something is asked for that it does not know

    package, data = ModuleType("timm"), ModuleType("timm.data")
    package.create_model, package.data = create_model, data
    data.resolve_model_data_config = lambda model: {"input_size": (3, 224, 224), "mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.25)}
    monkeypatch.setitem(sys.modules, "timm", package)
    monkeypatch.setitem(sys.modules, "timm.data", data)


@pytest.mark.parametrize(("name", "dimension", "cls"), [("convolutions", 8, False), ("channels_last", 8, False), ("transformer", 5, True)])
def test_a_network_of_timms_is_a_backbone(timm, tmp_path, name, dimension, cls):
    torch.manual_seed(0)
    model = RetrievalNetwork(f"timm:{name}", "cls" if cls else "gem")
    assert model.dimension == dimension and model.backbone.has_class_token == cls
    assert model.input.mean == (127.5, 102.0, 76.5) and model.input.deviation == (25.5, 51.0, 63.75)
    weights = [id(weight) for part in model.backbone.parts() for weight in part]
    assert sorted(weights) == sorted(id(weight) for weight in model.backbone.parameters())
    assert len(model.backbone.norms()) == (not cls) and model.backbone.normalised() == []
    save_network(tmp_path / "a.h5", model)
    back = load_network(tmp_path / "a.h5")
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    found = describe_photo(model, photo, (1.0, 0.7))
    assert found.shape == (dimension,)
    np.testing.assert_array_equal(describe_photo(back, photo, (1.0, 0.7)), found)
    np.testing.assert_array_equal(describe_photo(copy.deepcopy(model), photo, (1.0, 0.7)), found)


def test_activations_are_timms(timm):
    """The map is [b, d, h, w] whatever timm makes of it, and every patch is at its place."""
    for name in ("convolutions", "channels_last"):
        torch.manual_seed(0)
        backbone, x = find(f"timm:{name}").build(), torch.randn(1, 3, 40, 60)
        torch.testing.assert_close(backbone(x), Convolutions.forward_features(backbone.model, x))
    backbone, x = find("timm:transformer").build(), torch.randn(1, 3, 16, 24)
    assert backbone.input.multiple == backbone.input.smallest == 8
    tokens = backbone.model.forward_features(x)
    torch.testing.assert_close(backbone(x)[0, :, 1, 2], tokens[0, 3 + 1 * 3 + 2])
    torch.testing.assert_close(backbone.class_token(x), tokens[:, 0])


def test_frozen_parts_are_the_first_ones(timm):
    backbone = find("timm:transformer").build()
    assert len(backbone.parts()) == 4
    backbone.freeze(2)
    frozen = {key for key, weight in backbone.model.named_parameters() if not weight.requires_grad}
    assert frozen == {
        "cls_token",
        "reg_token",
        *(f"{name}.{part}" for name in ("patch_embed.proj", "blocks.0") for part in ("weight", "bias")),
    }


@pytest.mark.parametrize("name", ["convolutions", "transformer"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_with_timms_names(timm, tmp_path, name, prefix):
    torch.manual_seed(1)
    state = CNNS.get(name, Transformer)().state_dict()
    torch.save(
        {f"{prefix}{key}": value for key, value in state.items()} | {f"{prefix}head.fc.weight": torch.rand(3, 8)}, tmp_path / "w.pth"
    )
    model = RetrievalNetwork(f"timm:{name}")
    load_weights(model, tmp_path / "w.pth")
    for key, value in model.backbone.model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_what_timm_cannot_do_is_one_line(timm):
    for name, part in (
        ("nothing", "timm has no such network (Unknown model (nothing))"),
        ("one_size", "takes no photos of 96 x 64 pixels"),
    ):
        with pytest.raises(NetworkError) as caught:
            RetrievalNetwork(f"timm:{name}")
        assert str(caught.value).startswith(f"network timm:{name}: {part}") and "\n" not in str(caught.value)
    with pytest.raises(NetworkError, match=r"pooling cls: timm:convolutions has no class token"):
        RetrievalNetwork("timm:convolutions", "cls")
    with pytest.raises(NetworkError, match=r"network timm:convolutions: no weights come with bow2cnn; name a file in `weights`"):
        load_weights(RetrievalNetwork("timm:convolutions"))
    assert (
        is_known("timm:vit_small_patch14_dinov2.lvd142m") and not is_known("timm:hf-hub:a/b") and not is_known("timm:") and not is_known(7)
    )


def test_without_timm_there_is_one_line(timm, tmp_path, monkeypatch):
    save_network(tmp_path / "a.h5", RetrievalNetwork("timm:convolutions"))
    monkeypatch.setitem(sys.modules, "timm", None)  # as Python has it where an import is not possible
    with pytest.raises(
        NetworkError, match=r"^network timm:convolutions: timm does not import here \(.*\); install it, or take another network$"
    ):
        RetrievalNetwork("timm:convolutions")
    with pytest.raises(NetworkError, match=r"a\.h5: network timm:convolutions: timm does not import here") as caught:
        load_network(tmp_path / "a.h5")
    assert not isinstance(caught.value, ArtefactError)
