"""The projection layer at the end of a retrieval network (the final whitening in the authors' code for TPAMI 2018)."""

from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Projection(nn.Module):
    """Descriptors of length 1, [b, D], to L2(W x + b), [b, d]; rows of zeros stay zero.

    Args:
        weight: W, float32 [d, D].
        bias: b, float32 [d].

    Attributes:
        weight, bias: the same, as weights that learn.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    @classmethod
    def of_whitening(cls, mean: np.ndarray, projection: np.ndarray) -> Self:
        """The layer that computes what a whitening does: W = P and b = -P m.

        Args:
            mean: m, float32 [D].
            projection: P, float32 [d, D].
        """
        bias = -(projection.astype(np.float64) @ mean).astype(np.float32)
        return cls(torch.from_numpy(projection.astype(np.float32)), torch.from_numpy(bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Descriptors [b, D] to [b, d]."""
        projected = functional.normalize(functional.linear(x, self.weight, self.bias), dim=1, eps=1e-12)
        return projected * x.any(1, keepdim=True)
