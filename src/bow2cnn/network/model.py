"""The retrieval network: photo in, one descriptor of length 1 out."""

from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbones import POOLINGS, find
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.pooling import START_P, Pooling


class RetrievalNetwork(nn.Module):
    """Preprocessing, backbone, pooling, L2 norm.

    Args:
        network: a name that `backbones.find` knows.
        pooling: one of `POOLINGS`; `cls` only with a backbone that has a class token.
        p: GeM's exponent to start with.
        input: `Input`, what it sees of a file; None for the backbone's own.

    Raises:
        NetworkError: there is no such network, or its parts do not go together.
    """

    def __init__(self, network, pooling="gem", p=START_P, input=None):
        super().__init__()
        self.network = network
        self.backbone = find(network).build()
        self.dimension, self.input = self.backbone.dimension, input or self.backbone.input
        self.pooling = Pooling(pooling, p)
        if pooling == "cls" and self.backbone.class_token is None:
            others = ", ".join(kind for kind in POOLINGS if kind != "cls")
            raise NetworkError(f"pooling cls: {network} has no class token; choose from {others}")
        if self.input.channels != self.backbone.input.channels:
            raise NetworkError(f"network {network}: takes images of {self.backbone.input.channels} channels, not of {self.input.channels}")
        # Batch statistics stay frozen in training too; nothing here has dropout, so there is one mode only.
        self.eval().to(memory_format=torch.channels_last)

    def forward(self, photos, scale=1.0):
        """Uint8 [b, c, h, w], as `pixels` makes them, to float32 [b, D], each of length 1.

        Args:
            photos: photos of one size.
            scale: factor to resize them by first (bilinear over the footprint of a pixel).
        """
        return functional.normalize(self.pool(photos, scale), dim=1, eps=1e-12)

    def pool(self, photos, scale=1.0):
        """As `forward`, without the L2 norm."""
        described = self.backbone.class_token if self.pooling.kind == "cls" else self.backbone
        return self.pooling(described(self.prepare(photos, scale)))

    def prepare(self, photos, scale=1.0):
        """Uint8 [b, c, h, w] to what the backbone is fed with, see `Input.prepare`."""
        return self.input.prepare(photos, scale)

    @property
    def device(self):
        """Where the network computes."""
        return next(self.backbone.parameters()).device

    def pixels(self, photo):
        """A photo, as `Input.load` gives it, as a tensor [1, c, h, w] of its own memory, where the network computes."""
        return self.input.tensor(photo).to(self.device)

    @contextmanager
    def folded(self):
        """While inside, batch normalisation is folded once instead of at every photo; weights must not change meanwhile."""
        pairs = self.backbone.normalised()
        try:
            with torch.no_grad():
                for pair in pairs:
                    pair.folded = pair.fold()
            yield self
        finally:
            for pair in pairs:
                pair.folded = None
