"""From activations to one vector: MAC, SPoC and GeM (talk slide 19; Radenovic et al., TPAMI 2019)."""

import torch
from torch import nn

from bow2cnn.network.backbones import POOLINGS

START_P = 3.0
_EPSILON = 1e-6


class Pooling(nn.Module):
    """[b, d, h, w] to [b, d].

    MAC takes the maximum over the photo, SPoC the average, GeM the generalised mean (mean of x^p)^(1/p) with a p that is learned:
    1 is the average, infinity the maximum. GeM takes activations below 1e-6 for 1e-6. A network that ends with a ReLU has none
    below zero; of the tokens of a vision transformer, which are signed, about half of the values are. The class token of such a network
    (`cls`) is a vector already and stays as it is.

    Args:
        kind: one of `backbones.POOLINGS`.
        p: GeM's exponent to start with.
    """

    def __init__(self, kind, p=START_P):
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"pooling {kind!r} is unknown; choose from {', '.join(POOLINGS)}")
        self.kind = kind
        self.p = nn.Parameter(torch.tensor(float(p))) if kind == "gem" else None

    def forward(self, x):
        if self.kind == "cls":
            return x
        if self.kind == "mac":
            return x.amax((2, 3))
        if self.kind == "spoc":
            return x.mean((2, 3))
        return generalised_mean(x.flatten(2), self.p, 2)

    def exponent(self):
        """GeM's p in use, at least 1; None for the others."""
        return None if self.p is None else max(1.0, float(self.p.detach()))


def generalised_mean(x, p, dimension):
    """(mean of max(x, 1e-6)^p)^(1/p) along a dimension; a p below 1 counts as 1 (field.md 3.3).

    Args:
        x: tensor.
        p: scalar tensor or float.
        dimension: the one that goes.
    """
    p = torch.clamp(torch.as_tensor(p), min=1.0)
    x = x.clamp(min=_EPSILON)
    # By the largest, which changes nothing but keeps powers inside float32: 1e-6 to the seventh is zero, where the root has no gradient.
    largest = x.detach().amax(dimension, keepdim=True)
    return (x / largest).pow(p).mean(dimension).pow(1.0 / p) * largest.squeeze(dimension)
