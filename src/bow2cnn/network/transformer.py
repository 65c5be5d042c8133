"""Vision transformers as DINOv2 has them (Oquab et al., TMLR 2024; registers: Darcet et al., ICLR 2024).

Names and shapes of the tensors are those of the published files (dinov2_vits14_pretrain.pth, dinov2_vits14_reg4_pretrain.pth, ...). timm
has the same networks; this is our own because timm needs a torchvision, and each release of that imports beside one release of torch alone.
"""

import dataclasses

import torch
from torch import nn
from torch.nn import functional

from bow2cnn.network.backbone import Backbone
from bow2cnn.network.input import IMAGENET

_PATCH = 14  # pixels
_GRID = 37  # patches along a side of the photos that the published networks were trained on last (518 pixels)
_NORM_EPSILON = 1e-6
# What DINOv2 adds to the number of patches before it divides by the grid's, for the networks without registers.
_OFFSET = 0.1


class VisionTransformer(Backbone):
    """[b, 3, h, w] to [b, d, h / patch, w / patch], the tokens of the patches; both sides are multiples of the patch.

    Tokens are signed, unlike the activations behind a ReLU, because a layer normalisation comes last. Pooling by GeM clamps them all the
    same (`network.pooling`): what a channel has below 1e-6 counts as 1e-6, so only what it has above zero is told apart.

    Args:
        dimension: d, a multiple of `heads`.
        depth: number of blocks.
        heads: of the attention.
        registers: tokens without a meaning of their own, beside the class token.
        grid: patches along a side that the stored position embeddings are for.
        patch: side of a patch, in pixels.
    """

    def __init__(self, dimension, depth, heads, registers=0, grid=_GRID, patch=_PATCH):
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

    def forward(self, x):
        tokens, (height, width) = self._tokens(x)
        patches = tokens[:, -height * width :]
        return patches.transpose(1, 2).unflatten(2, (height, width))

    def class_token(self, x):
        """[b, 3, h, w] to [b, d], the token that gathers what the whole photo shows."""
        return self._tokens(x)[0][:, 0]

    def parts(self):
        """The embedding of the patches, and each block; the last normalisation belongs to the last one."""
        blocks = [list(block.parameters()) for block in self.blocks]
        blocks[-1] += self.norm.parameters()
        inside = {id(weight) for block in blocks for weight in block}
        return [[weight for weight in self.parameters() if id(weight) not in inside], *blocks]

    def _tokens(self, x):
        """All tokens behind the last normalisation [b, 1 + registers + h' * w', d]: class, registers, patches by row; and (h', w')."""
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
        """Position embeddings of a photo of so many patches [1, height * width, d]: the stored ones, interpolated to another number."""
        stored = self.pos_embed[:, 1:]
        if height == width == self._grid:
            return stored
        down, right = (self._interpolation(count, stored.dtype).to(stored.device) for count in (height, width))
        return torch.einsum("ai,bj,ijd->abd", down, right, stored[0].unflatten(0, (self._grid, self._grid))).flatten(0, 1)[None]

    def _interpolation(self, count, dtype):
        """The bicubic interpolation from the grid's positions to so many, as a matrix [count, grid].

        As DINOv2 has it: with registers averaged over the footprint where it gets coarser, without them not, and a little shifted. Along
        columns and rows it is the same, so two matrices do it, whose gradient does not depend on the order of threads on a GPU either.
        """
        each = torch.eye(self._grid, dtype=dtype)[None, None]
        if self.register_tokens is not None:
            return functional.interpolate(each, (count, self._grid), mode="bicubic", antialias=True)[0, 0]
        return functional.interpolate(each, scale_factor=((count + _OFFSET) / self._grid, 1.0), mode="bicubic")[0, 0]


class _Block(nn.Module):
    """Attention and a perceptron, each behind a normalisation and beside a shortcut."""

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
