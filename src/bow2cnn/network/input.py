"""What a network sees of a file: which pixels are read, at which size, and how they are normalised.

An `Input` belongs to every backbone and travels in the network's artefact. Whatever loads an image for a network takes the number of
channels, the sizes and the normalisation from it, so that nothing of that is written anywhere else.
"""

import dataclasses

import cv2
import numpy as np
import torch
from torch.nn import functional

from bow2cnn.network.errors import NetworkError
from bow2cnn.photos.decode import read_rgb

_GREY = 127  # of an image that is not there


def _read_colours(path, max_side=None):
    return read_rgb(path, max_side)


def _read_grey(path, max_side=None):
    return cv2.cvtColor(read_rgb(path, max_side), cv2.COLOR_RGB2GRAY)[..., None]


# What is read of a file: (path, longer side at most) to uint8 [h, w, c], upright, and the number of its channels. `PhotoError` where it
# cannot be decoded.
_READERS = {"photo": (_read_colours, 3), "grey": (_read_grey, 1)}


@dataclasses.dataclass(frozen=True)
class Input:
    """How a file becomes what a network sees.

    The rule of sizes: the longer side is shrunk to the size that is asked for, and nothing is ever enlarged. Where the network wants sides
    that are multiples of something (the patch of a vision transformer), each side is then rounded down to one, but not below the first.
    A side that is still shorter than `smallest` is filled up with its last pixels.

    Attributes:
        mean, deviation: per channel, in grey levels of 0 to 255; the network is fed with (image - mean) / deviation.
        load_as: what is read of a file: `photo`, its colours, or `grey`, their luminance.
        smallest: the shortest side that the network's layers take, in pixels.
        multiple: sides are multiples of so many pixels.

    Raises:
        NetworkError: values that do not fit each other.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    load_as: str = "photo"
    smallest: int = 1
    multiple: int = 1

    def __post_init__(self):
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))  # JSON has lists
        object.__setattr__(self, "deviation", tuple(map(float, self.deviation)))
        if self.load_as not in _READERS:
            raise NetworkError(f"input: nothing is known that is loaded as {self.load_as!r}; choose from {', '.join(_READERS)}")
        if not len(self.mean) == len(self.deviation) == self.channels:
            raise NetworkError(f"input: {self.load_as} has {self.channels} channels, mean and deviation have other numbers of them")
        if self.multiple < 1 or self.smallest < 1 or self.smallest % self.multiple:
            raise NetworkError(f"input: the smallest side ({self.smallest}) is no multiple of {self.multiple} pixels")

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return _READERS[self.load_as][1]

    def load(self, path, image_size, region=None) -> np.ndarray:
        """Read a file and shrink it, see the rule of sizes above.

        Args:
            path: the file.
            image_size: longer side, in pixels.
            region: (left, top, right, bottom) in pixels of the upright full-size photo, or None. The region is cut from the full-size
                photo and then scaled by the factor of the whole photo, so what it shows keeps the scale it has in the database
                (field.md 3.3).

        Returns:
            uint8 [h, w, c].

        Raises:
            PhotoError: cannot be decoded.
        """
        read, _ = _READERS[self.load_as]
        # Twice the wanted size: the decoder may then work at half or quarter size, and the rest is an average over areas.
        image = read(path, 2 * image_size if region is None else None)
        factor = min(1.0, image_size / max(image.shape[:2]))
        seen = image if region is None else cut(image, region)
        return shrink(seen, self.sides(seen.shape[:2], factor))

    def sides(self, shape, factor) -> tuple[int, int]:
        """Height and width of an image scaled by a factor, see the rule of sizes above.

        Args:
            shape: (height, width).
            factor: positive.
        """
        return tuple(self._rounded(max(1, round(side * factor))) for side in shape)

    def _rounded(self, side):
        return side if side < self.multiple else side - side % self.multiple

    def blank(self, height, width) -> np.ndarray:
        """An image that shows nothing, uint8 [height, width, c]."""
        return np.full((height, width, self.channels), _GREY, np.uint8)

    def tensor(self, image) -> torch.Tensor:
        """An image, uint8 [h, w, c], as a tensor [1, c, h, w] of its own memory."""
        return torch.from_numpy(np.array(image, copy=True)).permute(2, 0, 1)[None]

    def prepare(self, images, scale=1.0) -> torch.Tensor:
        """What a backbone is fed with, float32 [b, c, h, w], see the rule of sizes above.

        Args:
            images: uint8 tensor [b, c, h, w], images of one size.
            scale: factor to resize them by first (bilinear over the footprint of a pixel).
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


# The photos of ImageNet, by which torchvision's networks and their heirs are fed.
IMAGENET = Input((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))


def cut(image, region) -> np.ndarray:
    """The part of an image [h, w, c] inside (left, top, right, bottom), clipped to the image; at least one pixel."""
    height, width = image.shape[:2]
    left, top, right, bottom = (int(round(value)) for value in region)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return image[top : max(min(bottom, height), top + 1), left : max(min(right, width), left + 1)]


def shrink(image, size) -> np.ndarray:
    """An image, uint8 [h, w, c], averaged over areas to a size (height, width) that is nowhere larger."""
    if tuple(size) == image.shape[:2]:
        return np.ascontiguousarray(image)
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA).reshape(*size, -1)
