"""Layers that several backbones share."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbone import Backbone
from bow2cnn.network.input import Input


class FoldedConvBN:
    """A convolution and the batch normalisation behind it, run as one convolution.

    The running statistics stay as they were learned on ImageNet, as in the code of Radenovic, Tolias and Chum (TPAMI 2018); scale and shift
    still learn. So the normalisation is one factor and one offset per channel. Folding them into the kernel costs one pass over the weights
    instead of two passes over the activations, forward and backward. This is not an `nn.Module`, so that the weights keep the key names of
    published files.

    Args:
        convolution: a convolution without bias.
        norm: the batch normalisation behind it.
        padding: number of zeros to put around the input (left, right, top, bottom), in pixels, or None.

    Attributes:
        convolution, norm, padding: the same.
        folded: (kernel, shift) to use instead of folding at every call, or None; `RetrievalNetwork.folded` and `Gradient` set it.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, padding: tuple[int, int, int, int] | None = None) -> None:
        self.convolution = convolution
        self.norm = norm
        self.padding = padding
        self.folded: tuple[torch.Tensor, torch.Tensor] | None = None

    def fold(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel [d, c, k, k] and shift [d] of the one convolution, with gradients to the weights of both layers."""
        mean, variance = cast(torch.Tensor, self.norm.running_mean), cast(torch.Tensor, self.norm.running_var)
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        kernel = (self.convolution.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        return kernel, self.norm.bias - mean * scale

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Input [b, c, h, w] to activations [b, d, h', w']."""
        kernel, shift = self.fold() if self.folded is None else self.folded
        if self.padding is not None:
            x = functional.pad(x, self.padding)
        convolution = self.convolution
        return functional.conv2d(x, kernel, shift, convolution.stride, convolution.padding, groups=convolution.groups)


class StagedBackbone(Backbone):
    """A convolutional backbone as a sequence of stages, which are its parts.

    Args:
        dimension, input: see `Backbone`.

    Attributes:
        stages: pairs of (modules, function), which a subclass fills. The function maps activations to activations; the modules are those
            whose weights it uses.
    """

    def __init__(self, dimension: int, input: Input) -> None:
        super().__init__(dimension, input)
        self.stages: list[tuple[Sequence[nn.Module], Callable[[torch.Tensor], torch.Tensor]]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [b, c, h, w] to activations [b, d, h', w']."""
        for _, function in self.stages:
            x = function(x)
        return x

    def parts(self) -> list[list[nn.Parameter]]:
        """The weights of every stage."""
        return [[weight for module in modules for weight in module.parameters()] for modules, _ in self.stages]

    def normalised(self) -> list[FoldedConvBN]:
        """The folded pairs that the modules have as attributes."""
        return [pair for module in self.modules() for pair in vars(module).values() if isinstance(pair, FoldedConvBN)]
