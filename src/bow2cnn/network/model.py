"""The retrieval network: photo in, one descriptor of length 1 out."""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbones import BACKBONES
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.pooling import START_P, Pooling


class RetrievalNetwork(nn.Module):
    """Preprocessing, backbone, pooling, L2 norm.

    Args:
        network: a key of `BACKBONES`.
        pooling: `gem`, `mac` or `spoc`.
        p: GeM's exponent to start with.
    """

    def __init__(self, network, pooling="gem", p=START_P):
        super().__init__()
        if network not in BACKBONES:
            raise NetworkError(f"network {network!r} is unknown; choose from {', '.join(sorted(BACKBONES))}")
        backbone = BACKBONES[network]
        self.network = network
        self.dimension, self._smallest = backbone.dimension, backbone.smallest
        self.backbone = backbone.build()
        self.pooling = Pooling(pooling, p)
        self.register_buffer("mean", torch.tensor(backbone.mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(backbone.deviation)[:, None, None], persistent=False)
        # Batch statistics stay frozen in training too; nothing here has dropout, so there is one mode only.
        self.eval().to(memory_format=torch.channels_last)

    def forward(self, photos, scale=1.0):
        """uint8 RGB [b, 3, h, w] to float32 [b, D], each of length 1.

        Args:
            photos: photos of one size.
            scale: factor to resize them by first (bilinear over the footprint of a pixel).
        """
        return functional.normalize(self.pool(photos, scale), dim=1, eps=1e-12)

    def pool(self, photos, scale=1.0):
        """As `forward`, without the L2 norm."""
        return self.pooling(self.backbone(self.prepare(photos, scale)))

    def prepare(self, photos, scale=1.0):
        """uint8 RGB [b, 3, h, w] to what the backbone expects; a side that its layers find too small is filled up with its last pixels."""
        x = photos.to(torch.float32)
        if scale != 1.0:
            size = [max(1, round(side * scale)) for side in x.shape[2:]]
            x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        down, right = (max(0, self._smallest - side) for side in x.shape[2:])
        if down or right:
            x = functional.pad(x, (0, right, 0, down), mode="replicate")
        return ((x - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)

    @property
    def device(self):
        """Where the network computes."""
        return self.mean.device

    def pixels(self, photo):
        """A photo, uint8 RGB [h, w, 3], as a tensor [1, 3, h, w] of its own memory, where the network computes."""
        return torch.from_numpy(np.array(photo, copy=True)).permute(2, 0, 1)[None].to(self.device)

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
