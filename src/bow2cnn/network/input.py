"""How a file becomes what a network sees: which pixels are read, at which size, and how they are normalised.

Every backbone has an `Input`, and the network's artefact holds it. All code that loads an image for a network takes the number of channels,
the sizes and the normalisation from it.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from bow2cnn.network.errors import NetworkError
from bow2cnn.photos.decode import read_rgb

_GREY = 127  # grey level of a blank image


def _read_colours(path, max_side=None):
    return read_rgb(path, max_side)


def _read_grey(path, max_side=None):
    return cv2.cvtColor(read_rgb(path, max_side), cv2.COLOR_RGB2GRAY)[..., None]


# By `load_as`: the function that reads a file, (path, maximum of the longer side in pixels) to uint8 [h, w, c], upright; and the number of
# channels c. It raises `PhotoError` where the file cannot be decoded.
_READERS = {"photo": (_read_colours, 3), "grey": (_read_grey, 1)}


@dataclasses.dataclass(frozen=True)
class Input:
    """How a file becomes what a network sees.

    The rule of sizes: an image whose longer side exceeds the image size is shrunk to it; no image is enlarged. Then each side is rounded
    down to a multiple of `multiple` (the patch of a vision transformer); a side that is shorter than `multiple` stays as it is. At last a
    side shorter than `smallest` is filled up by repeating its last pixels.

    Attributes:
        mean, deviation: of every channel, in grey levels from 0 to 255; the network gets (image - mean) / deviation.
        load_as: `photo` reads the colours of a file, `grey` their luminance.
        smallest: the shortest side that the network's layers take, in pixels.
        multiple: both sides are multiples of this, in pixels.

    Raises:
        NetworkError: the values contradict each other.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    load_as: str = "photo"
    smallest: int = 1
    multiple: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))  # JSON has lists
        object.__setattr__(self, "deviation", tuple(map(float, self.deviation)))
        if self.load_as not in _READERS:
            raise NetworkError(f"input: load_as {self.load_as!r} is unknown; choose from {', '.join(_READERS)}")
        if not len(self.mean) == len(self.deviation) == self.channels:
            raise NetworkError(f"input: {self.load_as} has {self.channels} channels, mean and deviation must have as many values")
        if self.multiple < 1 or self.smallest < 1 or self.smallest % self.multiple:
            raise NetworkError(f"input: the smallest side ({self.smallest}) is not a multiple of {self.multiple} pixels")

    @property
    def channels(self) -> int:
        """Number of channels of an image."""
        return _READERS[self.load_as][1]

    def load(self, path: str | Path, image_size: int, region: Sequence[float] | None = None) -> np.ndarray:
        """Read a file and shrink it by the rule of sizes.

        Args:
            path: the file.
            image_size: longer side, in pixels.
            region: left, top, right and bottom in pixels of the upright full-size photo, or None. The region is cut from the full-size
                photo and then scaled by the factor of the whole photo. So objects keep the scale that they have in the database, as in the
                code of Radenovic, Tolias and Chum (TPAMI 2018).

        Returns:
            uint8 [h, w, c].

        Raises:
            PhotoError: the file cannot be decoded.
        """
        read, _ = _READERS[self.load_as]
        # At twice the image size the decoder may work at a half or a quarter of the size; `shrink` averages the rest over areas.
        image = read(path, 2 * image_size if region is None else None)
        factor = min(1.0, image_size / max(image.shape[:2]))
        part = image if region is None else cut(image, region)
        return shrink(part, self.sides(part.shape[:2], factor))

    def sides(self, shape: Sequence[int], factor: float) -> tuple[int, int]:
        """Height and width of an image scaled by a factor, by the rule of sizes.

        Args:
            shape: height and width, in pixels.
            factor: positive.
        """
        height, width = (self._rounded(max(1, round(side * factor))) for side in shape)
        return height, width

    def _rounded(self, side):
        return side if side < self.multiple else side - side % self.multiple

    def blank(self, height: int, width: int) -> np.ndarray:
        """A grey image, uint8 [height, width, c]."""
        return np.full((height, width, self.channels), _GREY, np.uint8)

    def tensor(self, image: np.ndarray) -> torch.Tensor:
        """A copy of an image, uint8 [h, w, c], as a tensor, uint8 [1, c, h, w]."""
        return torch.from_numpy(np.array(image, copy=True)).permute(2, 0, 1)[None]

    def prepare(self, images: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """The input of a backbone: images resized by the rule of sizes and normalised.

        Args:
            images: uint8 [b, c, h, w], all of one size.
            scale: factor by which they are resized (bilinear, with antialiasing).

        Returns:
            float32 [b, c, h', w'].
        """
        x = images.to(torch.float32)
        size = self.sides(x.shape[2:], scale)
        if size != tuple(x.shape[2:]):
            x = functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        down, right = (max(0, self.smallest - side) for side in x.shape[2:])
        if down or right:
            x = functional.pad(x, (0, right, 0, down), mode="replicate")
        mean, deviation = (torch.tensor(values, device=x.device)[:, None, None] for values in (self.mean, self.deviation))
        return ((x - mean) / deviation).contiguous(memory_format=torch.channels_last)


# The input of networks that were trained on ImageNet, such as torchvision's.
IMAGENET = Input((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))


def cut(image: np.ndarray, region: Sequence[float]) -> np.ndarray:
    """The part of an image [h, w, c] inside a region (left, top, right, bottom in pixels), clipped to the image; at least one pixel."""
    height, width = image.shape[:2]
    left, top, right, bottom = (int(round(value)) for value in region)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return image[top : max(min(bottom, height), top + 1), left : max(min(right, width), left + 1)]


def shrink(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Shrink an image, uint8 [h, w, c], to a size (height, width in pixels) by averages over areas; neither side may grow."""
    if tuple(size) == image.shape[:2]:
        return np.ascontiguousarray(image)
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA).reshape(*size, -1)
