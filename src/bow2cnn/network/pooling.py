"""Pooling of activations to one vector.

MAC, SPoC and GeM: Radenovic, Tolias, Chum, TPAMI 2018. R-MAC: Tolias, Sicre, Jegou, ICLR 2016.
"""

import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbones import POOLINGS

START_P = 3.0
_EPSILON = 1e-6
_LEVELS = 3  # of R-MAC's regions, from the largest on
_OVERLAP = 0.4  # of neighbouring regions of the first level, as a share of their side: the wanted one
_MOST_REGIONS = 7  # of the first level


class Pooling(nn.Module):
    """[b, d, h, w] to [b, d].

    `mac` takes the maximum over the photo and `spoc` the average. `gem` takes the generalised mean (mean of x^p)^(1/p) with a learned p:
    p = 1 gives the average, p = infinity the maximum. `gemmp` learns a p for each channel. GeM raises activations below 1e-6 to 1e-6. A
    network that ends with a ReLU has none below zero; among the tokens of a vision transformer, which are signed, about half of the values
    are below zero. `rmac` adds the maxima over the photo and over each of `rmac_regions`, every one L2-normalised. The class token of a
    vision transformer (`cls`) is a vector already and stays as it is.

    Args:
        kind: one of `backbones.POOLINGS`.
        p: first value of GeM's exponents.
        channels: d, which only `gemmp` needs.

    Attributes:
        kind: the same.
        p: GeM's learned exponent, a scalar, or [d] for `gemmp`; None for the other poolings.

    Raises:
        ValueError: the pooling is unknown.
    """

    def __init__(self, kind: str, p: float = START_P, channels: int = 1) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"pooling {kind!r} is unknown; choose from {', '.join(POOLINGS)}")
        self.kind = kind
        shape = {"gem": (), "gemmp": (channels,)}.get(kind)
        self.p = None if shape is None else nn.Parameter(torch.full(shape, float(p)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Activations [b, d, h, w], or class tokens [b, d], to [b, d]."""
        if self.p is not None:
            return generalised_mean(x.flatten(2), self.p[..., None], 2)
        if self.kind == "rmac":
            return _rmac(x)
        if self.kind == "mac":
            return x.amax((2, 3))
        return x.mean((2, 3)) if self.kind == "spoc" else x

    def exponent(self) -> float | None:
        """The p that `gem` uses, at least 1; None for the other poolings."""
        return max(1.0, float(self.p.detach())) if self.p is not None and self.kind == "gem" else None


def generalised_mean(x: torch.Tensor, p: torch.Tensor | float, dimension: int) -> torch.Tensor:
    """(mean of max(x, 1e-6)^p)^(1/p) along a dimension; a p below 1 counts as 1, as in the code of the authors (TPAMI 2018).

    Args:
        x: values of any shape.
        p: a number, or numbers that broadcast to x and have length 1 along the dimension.
        dimension: number of the dimension that is averaged; the result lacks it.
    """
    p = torch.clamp(torch.as_tensor(p), min=1.0)
    x = x.clamp(min=_EPSILON)
    # Dividing by the largest does not change the mean. It keeps powers within float32: 1e-6 to the power of 7 would be zero, where the root
    # has no gradient.
    largest = x.detach().amax(dimension, keepdim=True)
    mean = (x / largest).pow(p).mean(dimension, keepdim=True)
    return (mean.pow(1.0 / p) * largest).squeeze(dimension)


def rmac_regions(height: int, width: int) -> list[tuple[int, int, int]]:
    """The square regions of R-MAC on a map (Tolias, Sicre, Jegou, ICLR 2016, section 3.2), as in the authors' code.

    The side of a region of level l is 2 / (l + 1) of the map's shorter side. Along the shorter side level l has l regions. Along the longer
    side it has as many more as the first level needs for the overlap that is nearest to 0.4.

    Args:
        height, width: of the map.

    Returns:
        top, left and side of each region.
    """
    short, long = min(height, width), max(height, width)
    more = 0
    if long > short:
        more = min(range(1, _MOST_REGIONS), key=lambda steps: abs(1 - (long - short) / (steps * short) - _OVERLAP))
    found = []
    for level in range(1, _LEVELS + 1):
        side = 2 * short // (level + 1)
        down, across = (level + (more if length == long else 0) for length in (height, width))
        if side:
            found += [(top, left, side) for top in _offsets(height - side, down) for left in _offsets(width - side, across)]
    return found


def _offsets(last, count):
    """The first positions of some regions, evenly from 0 to the last."""
    return [number * last // max(1, count - 1) for number in range(count)]


def _rmac(x):
    regions = [x, *(x[:, :, top : top + side, left : left + side] for top, left, side in rmac_regions(*x.shape[2:]))]
    return sum(functional.normalize(region.amax((2, 3)), dim=1, eps=_EPSILON) for region in regions)
