"""Random augmentations of a photo that leave its place recognisable."""

import cv2
import numpy as np

# By strength: smallest part of each side that a crop keeps, smallest scale, largest change of brightness, contrast and saturation.
_STRENGTH = {"light": (0.85, 0.8, 0.2), "strong": (0.7, 0.6, 0.4)}
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue (ITU-R BT.601)
# Of another view: the smallest part of each side of the photo that it shows, and the largest move of its corners as a part of its sides.
_LEAST_PART, _SLANT = 0.5, 0.25


def augment(photo: np.ndarray, strength: str, mirror: bool, generator: np.random.Generator | None) -> np.ndarray:
    """A copy of a photo with a random crop, scale and light.

    Args:
        photo: uint8 [h, w, c], as `Input.load` returns it.
        strength: `none`, `light` or `strong`.
        mirror: whether to flip left and right. All photos of a tuple are flipped or none, because a mirrored place is another place.
        generator: source of the random numbers; `none` needs none.

    Returns:
        uint8 [h', w', c].
    """
    if mirror:
        photo = photo[:, ::-1]
    if strength == "none":
        return np.ascontiguousarray(photo)
    crop, scale, change = _STRENGTH[strength]
    return _relight(_rescale(_crop(photo, crop, generator), scale, generator), change, generator)


def another_view(photo: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A copy of a photo, as if it were a plane of which another camera had seen a part in other light.

    Args:
        photo: uint8 [h, w, c], as `Input.load` returns it.
        generator: source of the random numbers.

    Returns:
        uint8 [h', w', c].
    """
    height, width = photo.shape[:2]
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    part = generator.uniform(_LEAST_PART, 1.0) * np.array([width, height])
    corner = generator.uniform(0, 1, 2) * ([width, height] - part)
    view = (corner + part * np.abs(square - generator.uniform(0, _SLANT, (4, 2)))).astype(np.float32)
    whole = (square * [width, height]).astype(np.float32)
    transform = cv2.getPerspectiveTransform(view, whole)
    copy = cv2.warpPerspective(photo, transform, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    _, scale, light = _STRENGTH["strong"]
    return _relight(_rescale(copy.reshape(photo.shape), scale, generator), light, generator)


def _crop(photo, least, generator):
    height, width = photo.shape[:2]
    kept = [max(1, round(side * generator.uniform(least, 1.0))) for side in (height, width)]
    top, left = (int(generator.integers(side - part + 1)) for side, part in zip((height, width), kept, strict=True))
    return photo[top : top + kept[0], left : left + kept[1]]


def _rescale(photo, least, generator):
    factor = generator.uniform(least, 1.0)
    size = [max(1, round(side * factor)) for side in photo.shape[1::-1]]
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)  # OpenCV drops a single channel


def _relight(photo, change, generator):
    brightness, contrast, saturation = generator.uniform(1 - change, 1 + change, 3)
    values = photo.astype(np.float32)
    gray = values @ _LUMINANCE if values.shape[2] == len(_LUMINANCE) else values.mean(2)
    values = gray[..., None] + saturation * (values - gray[..., None])
    values = gray.mean() + contrast * (values - gray.mean())
    return np.clip(values * brightness, 0, 255).astype(np.uint8)
