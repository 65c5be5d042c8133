"""Pooling of activations to one vector: MAC, SPoC and GeM (Radenovic, Tolias, Chum, TPAMI 2018)."""

import torch
from torch import nn

from bow2cnn.network.backbones import POOLINGS

START_P = 3.0
_EPSILON = 1e-6


class Pooling(nn.Module):
    """[b, d, h, w] to [b, d].

    MAC takes the maximum over the photo and SPoC the average. GeM takes the generalised mean (mean of x^p)^(1/p) with a learned p: p = 1
    gives the average, p = infinity the maximum. GeM raises activations below 1e-6 to 1e-6. A network that ends with a ReLU has none below
    zero; among the tokens of a vision transformer, which are signed, about half of the values are below zero. The class token of such a
    network (`cls`) is a vector already and stays as it is.

    Args:
        kind: one of `backbones.POOLINGS`.
        p: first value of GeM's exponent.

    Attributes:
        kind: the same.
        p: GeM's exponent, a learned scalar; None for the other poolings.

    Raises:
        ValueError: the pooling is unknown.
    """

    def __init__(self, kind: str, p: float = START_P) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"pooling {kind!r} is unknown; choose from {', '.join(POOLINGS)}")
        self.kind = kind
        self.p = nn.Parameter(torch.tensor(float(p))) if kind == "gem" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations [b, d, h, w], or class tokens [b, d], to [b, d]."""
        if self.p is not None:
            return generalised_mean(x.flatten(2), self.p, 2)
        if self.kind == "mac":
            return x.amax((2, 3))
        return x.mean((2, 3)) if self.kind == "spoc" else x

    def exponent(self) -> float | None:
        """The p that GeM uses, at least 1; None for the other poolings."""
        return None if self.p is None else max(1.0, float(self.p.detach()))


def generalised_mean(x: torch.Tensor, p: torch.Tensor | float, dimension: int) -> torch.Tensor:
    """(mean of max(x, 1e-6)^p)^(1/p) along a dimension; a p below 1 counts as 1, as in the code of the authors (TPAMI 2018).

    Args:
        x: values of any shape.
        p: a scalar.
        dimension: number of the dimension that is averaged; the result lacks it.
    """
    p = torch.clamp(torch.as_tensor(p), min=1.0)
    x = x.clamp(min=_EPSILON)
    # Dividing by the largest does not change the mean. It keeps powers within float32: 1e-6 to the power of 7 would be zero, where the root
    # has no gradient.
    largest = x.detach().amax(dimension, keepdim=True)
    return (x / largest).pow(p).mean(dimension).pow(1.0 / p) * largest.squeeze(dimension)
