"""The backbones by name: how to build each, what it expects of its input."""

from functools import partial
from typing import NamedTuple

from bow2cnn.network.efficientnet import EfficientNetLite0
from bow2cnn.network.plain import VGG16, AlexNet, SqueezeNet
from bow2cnn.network.resnet import ResNet


class Backbone(NamedTuple):
    """One row of `BACKBONES`.

    Attributes:
        build: makes the module with random weights.
        dimension: channels of its activations.
        mean, deviation: per RGB channel, in grey levels of 0 to 255; input is (photo - mean) / deviation.
        packaged: whether pretrained weights come with the installation.
        training_size: longer side of the photos that it is trained on by default, in pixels: that of the paper's recipe (Radenovic, Tolias,
            Chum, TPAMI 2018; field.md 3.3), unless another validates better (`bench/folds.py`).
        smallest: side that its layers need, in pixels.
    """

    build: callable
    dimension: int
    mean: tuple
    deviation: tuple
    packaged: bool = False
    training_size: int = 362
    smallest: int = 1


_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)


def _torchvision(build, dimension, smallest=1):
    return Backbone(build, dimension, _IMAGENET_MEAN, _IMAGENET_DEVIATION, smallest=smallest)


BACKBONES = {
    "efficientnet-lite0": Backbone(EfficientNetLite0, 1280, (127.0,) * 3, (128.0,) * 3, packaged=True, training_size=256, smallest=32),
    "alexnet": _torchvision(AlexNet, 256, smallest=31),
    "resnet18": _torchvision(partial(ResNet, (2, 2, 2, 2), bottleneck=False), 512),
    "resnet34": _torchvision(partial(ResNet, (3, 4, 6, 3), bottleneck=False), 512),
    "resnet50": _torchvision(partial(ResNet, (3, 4, 6, 3), bottleneck=True), 2048),
    "resnet101": _torchvision(partial(ResNet, (3, 4, 23, 3), bottleneck=True), 2048),
    "resnet152": _torchvision(partial(ResNet, (3, 8, 36, 3), bottleneck=True), 2048),
    "squeezenet1_1": _torchvision(SqueezeNet, 512, smallest=17),
    "vgg16": _torchvision(VGG16, 512, smallest=16),
}
