"""The interface of a backbone: whatever implements it can be fine-tuned, stored, and asked for descriptors."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from bow2cnn.network.input import Input

if TYPE_CHECKING:
    from bow2cnn.network.layers import FoldedConvBN


class Backbone(nn.Module):
    """A network without its classifier: normalised images [b, c, h, w] to activations [b, d, h', w'].

    A subclass defines `forward` and `parts`, and overrides the other methods where its network differs.

    Args:
        dimension: d, the number of channels of its activations.
        input: how a file becomes what the network sees.

    Attributes:
        dimension, input: the same.
        has_class_token: whether `class_token` can be called.
    """

    has_class_token = False

    def __init__(self, dimension: int, input: Input) -> None:
        super().__init__()
        self.dimension, self.input = dimension, input

    def class_token(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [b, c, h, w] to one vector each [b, d], which needs no pooling; only for networks with a class token."""
        raise NotImplementedError

    def parts(self) -> list[list[nn.Parameter]]:
        """The weights of every part, from the input on. `freeze` counts these parts."""
        raise NotImplementedError

    def freeze(self, count: int) -> None:
        """Exclude the weights of the first `count` parts from learning."""
        for part in self.parts()[:count]:
            for weight in part:
                weight.requires_grad_(False)

    def normalised(self) -> list["FoldedConvBN"]:
        """All pairs of a convolution and the batch normalisation behind it that run as one convolution."""
        return []

    def norms(self) -> list[nn.BatchNorm2d]:
        """All batch normalisations."""
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def published(self) -> nn.Module:
        """The module whose tensors have the names that files of pretrained weights use."""
        return self
