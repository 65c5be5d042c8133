"""AlexNet, VGG16 and SqueezeNet 1.1 cut to their convolutions; module names are torchvision's.

AlexNet and VGG16 lose their last max-pooling, as in the code of Radenovic, Tolias and Chum (TPAMI 2018); SqueezeNet has none at its end.
torchvision's own classes are not used, because each release of torchvision works with one release of torch only.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.input import IMAGENET
from bow2cnn.network.layers import StagedBackbone

_VGG16: list[int | str] = [64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512]


class _Features(StagedBackbone):
    """A network whose convolutions are one sequence called `features` in torchvision; `smallest` is the shortest side that they take."""

    def __init__(self, layers, dimension, smallest):
        super().__init__(dimension, dataclasses.replace(IMAGENET, smallest=smallest))
        self.features = nn.Sequential(*layers)
        self.stages = [([layer], layer) for layer in self.features]


class AlexNet(_Features):
    """[b, 3, h, w] to [b, 256, h / 16, w / 16]."""

    def __init__(self) -> None:
        super().__init__(
            [
                nn.Conv2d(3, 64, 11, 4, 2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(256, 256, 3, padding=1),
                nn.ReLU(inplace=True),
            ],
            dimension=256,
            smallest=31,
        )


class VGG16(_Features):
    """[b, 3, h, w] to [b, 512, h / 16, w / 16]."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        before = 3
        for after in _VGG16:
            if isinstance(after, str):
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
                before = after
        super().__init__(layers, dimension=512, smallest=16)


class SqueezeNet(_Features):
    """SqueezeNet 1.1: [b, 3, h, w] to [b, 512, h / 16, w / 16]."""

    def __init__(self) -> None:
        super().__init__(
            [
                nn.Conv2d(3, 64, 3, 2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2, ceil_mode=True),
                _Fire(64, 16, 64),
                _Fire(128, 16, 64),
                nn.MaxPool2d(3, 2, ceil_mode=True),
                _Fire(128, 32, 128),
                _Fire(256, 32, 128),
                nn.MaxPool2d(3, 2, ceil_mode=True),
                _Fire(256, 48, 192),
                _Fire(384, 48, 192),
                _Fire(384, 64, 256),
                _Fire(512, 64, 256),
            ],
            dimension=512,
            smallest=17,
        )


class _Fire(nn.Module):
    """Squeeze to a few channels, then expand by 1 x 1 and 3 x 3 filters side by side."""

    def __init__(self, before, narrow, wide):
        super().__init__()
        self.squeeze = nn.Conv2d(before, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, wide, 1)
        self.expand3x3 = nn.Conv2d(narrow, wide, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x), inplace=True)
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1), inplace=True)
