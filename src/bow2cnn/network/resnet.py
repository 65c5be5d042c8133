"""ResNets cut to their convolutions (He et al., CVPR 2016); module names are torchvision's.

torchvision's own class is not used, because each release of torchvision works with one release of torch only, and because it runs every
batch normalisation as a separate layer. Folded into the convolutions they cost next to nothing (`network.layers`).
"""

from collections.abc import Sequence

from torch import nn
from torch.nn import functional

from bow2cnn.network.input import IMAGENET
from bow2cnn.network.layers import FoldedConvBN, StagedBackbone


class ResNet(StagedBackbone):
    """[b, 3, h, w] to [b, d, h / 32, w / 32]; d is 512 with basic blocks, 2048 with bottlenecks.

    Args:
        repeats: number of blocks in each of the four layers.
        bottleneck: whether a block has convolutions of 1 x 1, 3 x 3 and 1 x 1 (50 layers and deeper) instead of two of 3 x 3.
    """

    def __init__(self, repeats: Sequence[int], bottleneck: bool) -> None:
        super().__init__(2048 if bottleneck else 512, IMAGENET)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self._stem = FoldedConvBN(self.conv1, self.bn1)
        self.stages = [([self.conv1, self.bn1], _Start(self._stem))]
        before = 64
        for number, (count, width) in enumerate(zip(repeats, (64, 128, 256, 512), strict=True), start=1):
            blocks: list[nn.Module] = []
            for repeat in range(count):
                stride = 2 if repeat == 0 and number > 1 else 1
                blocks.append((_Bottleneck if bottleneck else _Basic)(before, width, stride))
                before = width * (4 if bottleneck else 1)
            layer = nn.Sequential(*blocks)
            self.add_module(f"layer{number}", layer)
            self.stages += [([block], block) for block in layer]


class _Start:
    def __init__(self, layer):
        self._layer = layer

    def __call__(self, x):
        return functional.max_pool2d(functional.relu(self._layer(x), inplace=True), 3, 2, 1)


class _Block(nn.Module):
    """Convolutions and a shortcut around them; `convolutions` holds (before, after, kernel, stride) of each."""

    def __init__(self, before, stride, convolutions):
        super().__init__()
        for number, (narrow, wide, kernel, step) in enumerate(convolutions, start=1):
            convolution = nn.Conv2d(narrow, wide, kernel, step, kernel // 2, bias=False)
            norm = nn.BatchNorm2d(wide)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", norm)
            setattr(self, f"_layer{number}", FoldedConvBN(convolution, norm))
        self._layers = len(convolutions)
        self._shortcut = None
        if stride > 1 or before != wide:
            self.downsample = nn.Sequential(nn.Conv2d(before, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
            self._shortcut = FoldedConvBN(*self.downsample)

    def forward(self, x):
        y = x
        for number in range(1, self._layers + 1):
            y = getattr(self, f"_layer{number}")(y)
            if number < self._layers:
                y = functional.relu(y, inplace=True)
        y = y + (x if self._shortcut is None else self._shortcut(x))
        return functional.relu(y, inplace=True)


class _Basic(_Block):
    def __init__(self, before, width, stride):
        super().__init__(before, stride, [(before, width, 3, stride), (width, width, 3, 1)])


class _Bottleneck(_Block):
    def __init__(self, before, width, stride):
        convolutions = [(before, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        super().__init__(before, stride, convolutions)
