"""Vision transformers: against a plain implementation, the published layout, sizes of photos, and how they learn."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from bow2cnn.descriptors.describe import describe_photo
from bow2cnn.network.backbones import BACKBONES, Choice
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pretrained import load_weights
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.network.transformer import VisionTransformer
from bow2cnn.network.workers import Workers
from bow2cnn.training.gradient import Gradient
from bow2cnn.training.loss import tuple_loss

pytestmark = pytest.mark.usefixtures("one_thread")
DIMENSION, DEPTH, HEADS, GRID, PATCH = 12, 3, 2, 5, 4


@pytest.fixture(autouse=True, scope="module")
def tiny_networks():
    for registers in (0, 3):
        BACKBONES[f"tiny_vit{registers}"] = Choice(lambda registers=registers: tiny(registers), class_token=True)
    yield
    for registers in (0, 3):
        del BACKBONES[f"tiny_vit{registers}"]


def tiny(registers):
    return VisionTransformer(DIMENSION, DEPTH, HEADS, registers, GRID, PATCH)


def numbers(registers, seed=0):
    """A state dict of the published layout, written out by hand, with random values."""
    d, generator = DIMENSION, torch.Generator().manual_seed(seed)
    shapes = {"cls_token": (1, 1, d), "pos_embed": (1, 1 + GRID**2, d), "patch_embed.proj.weight": (d, 3, PATCH, PATCH)}
    shapes |= {"patch_embed.proj.bias": (d,), "norm.weight": (d,), "norm.bias": (d,)}
    if registers:
        shapes["register_tokens"] = (1, registers, d)
    for n in range(DEPTH):
        block = {"norm1.weight": (d,), "norm1.bias": (d,), "attn.qkv.weight": (3 * d, d), "attn.qkv.bias": (3 * d,), "ls1.gamma": (d,)}
        block |= {"attn.proj.weight": (d, d), "attn.proj.bias": (d,), "norm2.weight": (d,), "norm2.bias": (d,), "ls2.gamma": (d,)}
        block |= {"mlp.fc1.weight": (4 * d, d), "mlp.fc1.bias": (4 * d,), "mlp.fc2.weight": (d, 4 * d), "mlp.fc2.bias": (d,)}
        shapes |= {f"blocks.{n}.{name}": shape for name, shape in block.items()}
    return {name: torch.randn(shape, generator=generator) * 0.4 for name, shape in shapes.items()}


def normalised(x, w, name):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(variance + 1e-6) * w[f"{name}.weight"] + w[f"{name}.bias"]


def plain(w, image, registers):
    """The tokens of one image [3, h, w], step by step: patch by patch, head by head, the softmax written out."""
    height, width = (side // PATCH for side in image.shape[1:])
    patches = []
    for row in range(height):
        for column in range(width):
            part = image[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            patches.append((w["patch_embed.proj.weight"] * part).sum((1, 2, 3)) + w["patch_embed.proj.bias"])
    position = w["pos_embed"][:, 1:].reshape(1, GRID, GRID, DIMENSION).permute(0, 3, 1, 2)
    if (height, width) != (GRID, GRID):  # as DINOv2's `interpolate_pos_encoding` has it, with the settings of its hub
        if registers:
            position = functional.interpolate(position, size=(height, width), mode="bicubic", antialias=True)
        else:
            factor = ((height + 0.1) / GRID, (width + 0.1) / GRID)
            position = functional.interpolate(position, scale_factor=factor, mode="bicubic", antialias=False)
    assert position.shape[2:] == (height, width)
    x = torch.stack(patches) + position[0].permute(1, 2, 0).reshape(-1, DIMENSION)
    first = [w["cls_token"][0] + w["pos_embed"][0, :1]]
    first += [w["register_tokens"][0]] if registers else []
    x = torch.cat([*first, x])
    size = DIMENSION // HEADS
    for n in range(DEPTH):
        y = normalised(x, w, f"blocks.{n}.norm1") @ w[f"blocks.{n}.attn.qkv.weight"].T + w[f"blocks.{n}.attn.qkv.bias"]
        heads = []
        for head in range(HEADS):
            query, key, value = (y[:, part * DIMENSION + head * size :][:, :size] for part in range(3))
            likeness = torch.exp(query @ key.T / math.sqrt(size))
            heads.append(likeness / likeness.sum(1, keepdim=True) @ value)
        y = torch.cat(heads, 1) @ w[f"blocks.{n}.attn.proj.weight"].T + w[f"blocks.{n}.attn.proj.bias"]
        x = x + w[f"blocks.{n}.ls1.gamma"] * y
        y = normalised(x, w, f"blocks.{n}.norm2") @ w[f"blocks.{n}.mlp.fc1.weight"].T + w[f"blocks.{n}.mlp.fc1.bias"]
        y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
        x = x + w[f"blocks.{n}.ls2.gamma"] * (y @ w[f"blocks.{n}.mlp.fc2.weight"].T + w[f"blocks.{n}.mlp.fc2.bias"])
    return normalised(x, w, "norm")


@pytest.mark.parametrize("registers", [0, 3])
@pytest.mark.parametrize("size", [(5, 5), (3, 3), (9, 4), (2, 8), (5, 7), (1, 1), (12, 11)])
def test_tokens_are_those_of_a_plain_implementation(registers, size):
    """In double precision: smaller and larger than the grid of the stored positions, square, and neither."""
    weights, backbone = numbers(registers), tiny(registers)
    backbone.load_state_dict(weights)
    backbone.double()
    image = torch.randn(2, 3, *(PATCH * side for side in size), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        patches, classes = backbone(image), backbone.class_token(image)
    assert patches.shape == (2, DIMENSION, *size) and classes.shape == (2, DIMENSION)
    for number in range(2):
        expected = plain({name: value.double() for name, value in weights.items()}, image[number], registers)
        torch.testing.assert_close(classes[number], expected[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(patches[number].flatten(1).T, expected[1 + registers :], rtol=1e-5, atol=1e-5)


# Of the published files, without `mask_token`: number of tensors, of values, and some shapes.
PUBLISHED = {
    "dinov2_vits14": (174, 22_056_192, {"pos_embed": (1, 1370, 384), "blocks.11.attn.qkv.weight": (1152, 384)}),
    "dinov2_vitb14": (174, 86_579_712, {"patch_embed.proj.weight": (768, 3, 14, 14), "blocks.0.ls1.gamma": (768,)}),
    "dinov2_vitl14": (342, 304_367_616, {"blocks.23.mlp.fc1.weight": (4096, 1024), "cls_token": (1, 1, 1024)}),
    "dinov2_vits14_reg": (175, 22_057_728, {"register_tokens": (1, 4, 384), "blocks.11.mlp.fc2.bias": (384,)}),
    "dinov2_vitb14_reg": (175, 86_582_784, {"register_tokens": (1, 4, 768), "norm.weight": (768,)}),
    "dinov2_vitl14_reg": (343, 304_371_712, {"register_tokens": (1, 4, 1024), "blocks.23.norm2.bias": (1024,)}),
}


def test_every_transformer_is_compared_with_the_published_layout():
    assert PUBLISHED.keys() == {name for name, choice in BACKBONES.items() if choice.class_token and not name.startswith("tiny")}


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(name):
    with torch.device("meta"):
        backbone = BACKBONES[name].build()
    state, (count, values, shapes) = backbone.state_dict(), PUBLISHED[name]
    assert len(state) == count and sum(value.numel() for value in state.values()) == values
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    block = {key.removeprefix("blocks.0.") for key in state if key.startswith("blocks.0.")}
    assert block == {key.removeprefix("blocks.0.") for key in numbers(0) if key.startswith("blocks.0.")}
    heads = {"s": 6, "b": 12, "l": 16}[name.removeprefix("dinov2_vit")[0]]
    assert backbone.blocks[0].attn._heads == heads and backbone.input.multiple == 14


@pytest.mark.parametrize("registers", [0, 3])
@pytest.mark.parametrize("around", ["", "backbone.", "teacher"])
def test_weights_with_dinov2s_names(tmp_path, registers, around, caplog):
    given = numbers(registers, 1) | {"mask_token": torch.zeros(1, DIMENSION), "head.weight": torch.zeros(3, DIMENSION)}
    model = RetrievalNetwork(f"tiny_vit{registers}")
    file = tmp_path / "weights.pth"
    torch.save({"teacher": given} if around == "teacher" else {f"{around}{key}": value for key, value in given.items()}, file)
    load_weights(model, file)
    for key, value in numbers(registers, 1).items():
        torch.testing.assert_close(model.backbone.state_dict()[key], value, rtol=0, atol=0)
    assert "left out" not in caplog.text


def test_weights_of_another_network_are_one_line(tmp_path):
    def complaint(network, state):
        torch.save(state, tmp_path / "weights.pth")
        with pytest.raises(NetworkError) as caught:
            load_weights(RetrievalNetwork(network), tmp_path / "weights.pth")
        assert "\n" not in str(caught.value)
        return str(caught.value).removeprefix(f"weights {tmp_path / 'weights.pth'}: ")

    assert complaint("tiny_vit3", numbers(0)) == "register_tokens is missing; is this tiny_vit3?"
    assert complaint("tiny_vit0", numbers(3)) == "register_tokens is not part of tiny_vit0; another network?"
    small = numbers(0) | {"pos_embed": torch.zeros(1, 197, DIMENSION)}
    assert complaint("tiny_vit0", small) == "pos_embed is 1 x 197 x 12, tiny_vit0 has 1 x 26 x 12 there; another network?"
    assert complaint("tiny_vit0", RetrievalNetwork("squeezenet1_1").backbone.state_dict()).endswith("is missing; is this tiny_vit0?")
    assert complaint("squeezenet1_1", numbers(0)) == "features.0.weight is missing; is this squeezenet1_1?"


@pytest.mark.parametrize("pooling", ["gem", "mac", "spoc", "cls"])
def test_a_transformer_describes_photos_of_any_size_and_survives_its_artefact(tmp_path, pooling):
    torch.manual_seed(0)
    model = RetrievalNetwork("tiny_vit3", pooling)
    save_network(tmp_path / "a.h5", model)
    back, generator = load_network(tmp_path / "a.h5"), np.random.default_rng(0)
    assert back.input == model.input and back.input.multiple == PATCH
    for height, width in ((1, 1), (3, 50), (50, 3), (20, 20), (37, 26)):
        photo = generator.integers(0, 256, (height, width, 3), np.uint8)
        prepared = model.prepare(model.pixels(photo))
        assert prepared.shape[2:] == tuple(max(PATCH, side // PATCH * PATCH) for side in (height, width))
        found = describe_photo(back, photo, (1.0, 0.7))
        assert found.shape == (DIMENSION,) and np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(found, describe_photo(model, photo, (1.0, 0.7)))


def test_class_token_and_patches_are_different_descriptors():
    torch.manual_seed(0)
    model = RetrievalNetwork("tiny_vit0", "cls")
    photo = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    tokens = model.backbone.class_token(model.prepare(model.pixels(photo)))
    torch.testing.assert_close(torch.from_numpy(describe_photo(model, photo)), functional.normalize(tokens, dim=1)[0].detach())
    with pytest.raises(NetworkError, match=r"^pooling cls: squeezenet1_1 has no class token; choose from gem, gemmp, mac, spoc, rmac$"):
        RetrievalNetwork("squeezenet1_1", "cls")


def test_frozen_parts_do_not_learn():
    backbone = tiny(3)
    assert len(backbone.parts()) == 1 + DEPTH
    assert {id(weight) for part in backbone.parts() for weight in part} == {id(weight) for weight in backbone.parameters()}
    backbone.freeze(2)
    frozen = {key for key, weight in backbone.named_parameters() if not weight.requires_grad}
    first = ("cls_token", "pos_embed", "register_tokens", "patch_embed", "blocks.0.")
    assert frozen == {key for key, _ in backbone.named_parameters() if key.startswith(first)}
    assert backbone.normalised() == [] and backbone.norms() == []


@pytest.mark.parametrize(("registers", "pooling"), [(0, "gem"), (3, "cls")])
def test_the_gradient_of_a_step_is_that_of_autograd(registers, pooling):
    torch.manual_seed(0)
    model = RetrievalNetwork(f"tiny_vit{registers}", pooling)
    photos = np.random.default_rng(0).integers(0, 256, (4, 21, 26, 3), np.uint8)
    with model.folded(), torch.inference_mode():
        model(model.pixels(photos[0]))  # nothing that is made here may be kept for the gradient
    places = torch.tensor([[0, 1, 2, 3]])
    with Workers(2) as workers:
        gradient = Gradient(model, workers, 32)
        value = gradient.accumulate(
            [[(row, lambda row=row: photos[row]) for row in range(4)]], lambda found, _: tuple_loss(found, places, "contrastive", 1.2)
        )
    expected = tuple_loss(torch.cat([model(model.pixels(photo)) for photo in photos]), places, "contrastive", 1.2)
    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
    names, learning = zip(*((key, weight) for key, weight in model.named_parameters() if weight.requires_grad), strict=True)
    assert "backbone.pos_embed" in names
    for weight, wanted in zip(learning, torch.autograd.grad(expected, learning, allow_unused=True), strict=True):
        torch.testing.assert_close(weight.grad, torch.zeros_like(weight) if wanted is None else wanted, rtol=1e-3, atol=1e-5)
