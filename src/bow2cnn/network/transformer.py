"""DINOv2's vision transformers (Oquab et al., TMLR 2024; registers: Darcet et al., ICLR 2024).

Names and shapes of the tensors are those of the published files (dinov2_vits14_pretrain.pth, dinov2_vits14_reg4_pretrain.pth, ...). timm's
classes are not used, because timm needs torchvision, and each release of torchvision works with one release of torch only.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbone import Backbone
from bow2cnn.network.input import IMAGENET

_PATCH = 14  # pixels
_GRID = 37  # patches along a side in the last phase of the published training (518 pixels)
_NORM_EPSILON = 1e-6
# For networks without registers, DINOv2 adds this to the number of patches along a side before it divides by that of the grid.
_OFFSET = 0.1


class VisionTransformer(Backbone):
    """[b, 3, h, w] to the tokens of the patches, [b, d, h / patch, w / patch]; h and w are multiples of the patch.

    The last layer is a layer normalisation, so tokens are signed, unlike the activations behind a ReLU. GeM raises values below 1e-6 to
    1e-6 (`network.pooling`), so it ignores the differences between negative values.

    Args:
        dimension: d, a multiple of `heads`.
        depth: number of blocks.
        heads: number of attention heads.
        registers: number of register tokens.
        grid: number of patches along a side for which the position embeddings are stored.
        patch: side of a patch, in pixels.
    """

    has_class_token = True

    def __init__(self, dimension: int, depth: int, heads: int, registers: int = 0, grid: int = _GRID, patch: int = _PATCH) -> None:
        super().__init__(dimension, dataclasses.replace(IMAGENET, smallest=patch, multiple=patch))
        self._grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dimension))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, dimension))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, dimension)) if registers else None
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(self.input.channels, dimension, patch, patch)
        self.blocks = nn.ModuleList(_Block(dimension, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dimension, eps=_NORM_EPSILON)
        for tokens in (self.cls_token, self.pos_embed, self.register_tokens):
            if tokens is not None:
                nn.init.trunc_normal_(tokens, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [b, 3, h, w] to the tokens of the patches [b, d, h', w']."""
        tokens, (height, width) = self._tokens(x)
        patches = tokens[:, -height * width :]
        return patches.transpose(1, 2).unflatten(2, (height, width))

    def class_token(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [b, 3, h, w] to the tokens that describe whole photos [b, d]."""
        return self._tokens(x)[0][:, 0]

    def parts(self) -> list[list[nn.Parameter]]:
        """The embeddings, and each block; the last normalisation belongs to the last block."""
        blocks = [list(block.parameters()) for block in self.blocks]
        blocks[-1] += self.norm.parameters()
        inside = {id(weight) for block in blocks for weight in block}
        return [[weight for weight in self.parameters() if id(weight) not in inside], *blocks]

    def _tokens(self, x):
        """All tokens behind the last normalisation [b, 1 + registers + h' w', d] (class, registers, patches row by row), and (h', w')."""
        patches = self.patch_embed.proj(x)
        size = patches.shape[2:]
        first = self.cls_token + self.pos_embed[:, :1]
        if self.register_tokens is not None:
            first = torch.cat([first, self.register_tokens], 1)
        x = torch.cat([first.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2) + self._positions(*size)], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x), size

    def _positions(self, height, width):
        """Position embeddings of a photo of height x width patches [1, height width, d], interpolated from the stored ones."""
        stored = self.pos_embed[:, 1:]
        if height == width == self._grid:
            return stored
        down, right = (self._interpolation(count, stored.dtype).to(stored.device) for count in (height, width))
        return torch.einsum("ai,bj,ijd->abd", down, right, stored[0].unflatten(0, (self._grid, self._grid))).flatten(0, 1)[None]

    def _interpolation(self, count, dtype):
        """The bicubic interpolation from the positions of the grid to `count` positions, as a matrix [count, grid].

        DINOv2 interpolates with antialiasing for networks with registers, and without it, but with a small offset, for the others. The
        interpolation is the same along columns and rows, so one matrix for each does it. The gradient of a product of matrices does not
        depend on the order of threads on a GPU; that of torch's two-dimensional interpolation does.
        """
        each = torch.eye(self._grid, dtype=dtype)[None, None]
        if self.register_tokens is not None:
            return functional.interpolate(each, (count, self._grid), mode="bicubic", antialias=True)[0, 0]
        return functional.interpolate(each, scale_factor=((count + _OFFSET) / self._grid, 1.0), mode="bicubic")[0, 0]


class _Block(nn.Module):
    """Attention, then a perceptron, each with a normalisation before it and a shortcut around both."""

    def __init__(self, dimension, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dimension, eps=_NORM_EPSILON)
        self.attn = _Attention(dimension, heads)
        self.ls1 = _Scale(dimension)
        self.norm2 = nn.LayerNorm(dimension, eps=_NORM_EPSILON)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(dimension, 4 * dimension), nn.Linear(4 * dimension, dimension)
        self.ls2 = _Scale(dimension)

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp.fc2(functional.gelu(self.mlp.fc1(self.norm2(x)))))


class _Attention(nn.Module):
    def __init__(self, dimension, heads):
        super().__init__()
        self._heads = heads
        self.qkv, self.proj = nn.Linear(dimension, 3 * dimension), nn.Linear(dimension, dimension)

    def forward(self, x):
        query, key, value = self.qkv(x).unflatten(2, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(found.transpose(1, 2).flatten(2))


class _Scale(nn.Module):
    """LayerScale (Touvron et al., ICCV 2021): a factor per channel."""

    def __init__(self, dimension):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dimension))

    def forward(self, x):
        return x * self.gamma
