"""The retrieval network: from a photo to one descriptor of length 1."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbones import POOLINGS, find
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.input import Input
from bow2cnn.network.pooling import START_P, Pooling
from bow2cnn.network.projection import Projection


class RetrievalNetwork(nn.Module):
    """Preprocessing, backbone, pooling and L2 normalisation, and a projection layer if there is one.

    Args:
        network: a name that `backbones.find` knows.
        pooling: one of `POOLINGS`; `cls` only with a backbone that has a class token.
        p: first value of GeM's exponents.
        input: how a file becomes what the network sees; None for the backbone's own input.
        projection: the layer at the end, or None.

    Attributes:
        network, input, projection: the same.
        backbone: `Backbone`.
        pooling: `Pooling`.
        dimension: D, of a descriptor.

    Raises:
        NetworkError: the network is unknown, or pooling, input or projection do not suit it.
    """

    def __init__(
        self,
        network: str,
        pooling: str = "gem",
        p: float = START_P,
        input: Input | None = None,
        projection: Projection | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.backbone = find(network).build()
        self.dimension, self.input = self.backbone.dimension, input or self.backbone.input
        self.pooling = Pooling(pooling, p, self.dimension)
        self.projection = projection
        if projection is not None:
            taken = projection.weight.shape[1]
            if taken != self.dimension:
                raise NetworkError(f"network {network}: its projection takes {taken} dimensions, not {self.dimension}")
            self.dimension = len(projection.weight)
        if pooling == "cls" and not self.backbone.has_class_token:
            others = ", ".join(kind for kind in POOLINGS if kind != "cls")
            raise NetworkError(f"pooling cls: {network} has no class token; choose from {others}")
        if self.input.channels != self.backbone.input.channels:
            raise NetworkError(f"network {network}: takes images of {self.backbone.input.channels} channels, not of {self.input.channels}")
        # Batch statistics stay frozen in training too, and no backbone has dropout, so the network never leaves this mode.
        self.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub

    def forward(self, photos: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """Descriptors of photos.

        Args:
            photos: uint8 [b, c, h, w], see `pixels`; all of one size.
            scale: factor by which they are resized (bilinear, with antialiasing).

        Returns:
            float32 [b, D], rows of length 1.
        """
        pooled = functional.normalize(self.pool(photos, scale), dim=1, eps=1e-12)
        return pooled if self.projection is None else self.projection(pooled)

    def pool(self, photos: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """The same without the L2 normalisation and the projection."""
        x = self.prepare(photos, scale)
        return self.pooling(self.backbone.class_token(x) if self.pooling.kind == "cls" else self.backbone(x))

    def exponent_of_scales(self) -> float:
        """The p of the generalised mean that joins the descriptors of several scales: that of `gem`, at least 1.

        It is 1 (the average) for the other poolings, and where there is a projection, whose values are signed (as in the authors' code).
        """
        return (self.pooling.exponent() or 1.0) if self.projection is None else 1.0

    def prepare(self, photos: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """The input of the backbone, float32 [b, c, h', w'], see `Input.prepare`."""
        return self.input.prepare(photos, scale)

    @property
    def device(self) -> torch.device:
        """The device on which the network computes."""
        return next(self.backbone.parameters()).device

    def pixels(self, photo: np.ndarray) -> torch.Tensor:
        """A copy of a photo, uint8 [h, w, c] from `Input.load`, as a tensor, uint8 [1, c, h, w], on the network's device."""
        return self.input.tensor(photo).to(self.device)

    @contextmanager
    def folded(self) -> Iterator[Self]:
        """A context in which batch normalisation is folded once instead of for every photo; the weights must not change in it."""
        pairs = self.backbone.normalised()
        try:
            with torch.no_grad():
                for pair in pairs:
                    pair.folded = pair.fold()
            yield self
        finally:
            for pair in pairs:
                pair.folded = None
