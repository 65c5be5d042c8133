"""Random changes of a photo that leave its place recognisable."""

import cv2
import numpy as np

# Smallest share of each side that a crop keeps, smallest scale, strongest change of brightness, contrast and saturation.
_STRENGTH = {"light": (0.85, 0.8, 0.2), "strong": (0.7, 0.6, 0.4)}
_LUMINANCE = np.float32([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
_LEAST_PART, _SLANT = 0.5, 0.25  # of a changed view: smallest share of each side, and how far its corners move within the view


def augment(photo, strength, mirror, generator):
    """A changed copy of a photo.

    Args:
        photo: uint8 [h, w, c], as `Input.load` gives it.
        strength: `none`, `light` or `strong`.
        mirror: whether to flip left and right (decided per tuple: a mirrored place is another place).
        generator: numpy random generator.

    Returns:
        uint8 [h', w', c].
    """
    if mirror:
        photo = photo[:, ::-1]
    if strength == "none":
        return np.ascontiguousarray(photo)
    crop, scale, change = _STRENGTH[strength]
    return _relight(_rescale(_crop(photo, crop, generator), scale, generator), change, generator)


def another_view(photo, generator):
    """A changed copy of a photo, as if part of a plane had been seen from elsewhere in other light.

    Args:
        photo: uint8 [h, w, c], as `Input.load` gives it.
        generator: numpy random generator.

    Returns:
        uint8 [h', w', c].
    """
    height, width = photo.shape[:2]
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    part = generator.uniform(_LEAST_PART, 1.0) * np.array([width, height])
    corner = generator.uniform(0, 1, 2) * ([width, height] - part)
    seen = np.float32(corner + part * np.abs(square - generator.uniform(0, _SLANT, (4, 2))))
    whole = np.float32(square * [width, height])
    change = cv2.getPerspectiveTransform(seen, whole)
    copy = cv2.warpPerspective(photo, change, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
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
