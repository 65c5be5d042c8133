"""Layers that several backbones share."""

import torch
from torch.nn import functional

from bow2cnn.network.backbone import Backbone


class FoldedConvBN:
    """A convolution and the batch normalisation behind it, run as one convolution.

    The running statistics stay as they were learned on ImageNet (field.md 3.3: "running stats frozen, affine still trained"), so the
    normalisation is a scale and a shift per channel. Folding them into the kernel costs a pass over the weights instead of two
    passes over the activations, forward and backward. This is no `nn.Module`, so that the weights keep the key names of others.

    Attributes:
        folded: (kernel, shift) to use instead of folding at every call; see `folded`.

    Args:
        convolution: `nn.Conv2d` without bias.
        norm: the `nn.BatchNorm2d` behind it.
        padding: (left, right, top, bottom) zeros to put around the input, or None.
    """

    def __init__(self, convolution, norm, padding=None):
        self.convolution = convolution
        self.norm = norm
        self.padding = padding
        self.folded = None

    def fold(self):
        """Kernel [d, c, k, k] and shift [d] that do the work of both; gradients reach the kernel, the scale and the shift."""
        scale = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
        kernel = (self.convolution.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        return kernel, self.norm.bias - self.norm.running_mean * scale

    def __call__(self, x):
        kernel, shift = self.fold() if self.folded is None else self.folded
        if self.padding is not None:
            x = functional.pad(x, self.padding)
        convolution = self.convolution
        return functional.conv2d(x, kernel, shift, convolution.stride, convolution.padding, groups=convolution.groups)


class StagedBackbone(Backbone):
    """A convolutional backbone as a sequence of stages, which are its parts.

    A subclass fills `stages`, a list of (modules, function) pairs: the function maps activations to activations, the modules are
    those whose weights it uses.

    Args:
        dimension, input: see `Backbone`.
    """

    def __init__(self, dimension, input):
        super().__init__(dimension, input)
        self.stages = []

    def forward(self, x):
        for _, function in self.stages:
            x = function(x)
        return x

    def parts(self):
        return [[weight for module in modules for weight in module.parameters()] for modules, _ in self.stages]

    def normalised(self):
        return [pair for module in self.modules() for pair in vars(module).values() if isinstance(pair, FoldedConvBN)]
