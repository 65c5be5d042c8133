"""EXIF orientations: how the pixels of a file lie in the upright photo.

bow2cnn uses upright coordinates everywhere. COLMAP and hloc use the pixels as the file stores them, so exports convert coordinates here.
Pillow's `exif_transpose` turns pixels, not coordinates.
"""

import numpy as np

# Per orientation 1 to 8 a matrix from the upright photo to the file: its columns are the steps in the file for one step along x and along y
# of the upright photo. From EXIF 2.32, tag 274, which defines the side of the upright photo at which the file's first row and column are.
_STEPS = np.array(
    [
        [[1, 0], [0, 1]],
        [[-1, 0], [0, 1]],
        [[-1, 0], [0, -1]],
        [[1, 0], [0, -1]],
        [[0, 1], [1, 0]],
        [[0, 1], [-1, 0]],
        [[0, -1], [-1, 0]],
        [[0, -1], [1, 0]],
    ],
    np.float64,
)
ORIENTATIONS = range(1, 9)
UPRIGHT = 1


def steps(orientation: int) -> np.ndarray:
    """The rotation or reflection from the upright photo to its file, float64 [2, 2], for an EXIF orientation (1 to 8)."""
    return _STEPS[orientation - 1]


def is_sideways(orientation: int) -> bool:
    """Whether the file's width is the height of the upright photo."""
    return orientation >= 5


def is_mirrored(orientation: int) -> bool:
    """Whether the file shows a mirror image of the scene."""
    return bool(np.linalg.det(steps(orientation)) < 0)


def size_in_file(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of a file in pixels, from those of the upright photo and the EXIF orientation."""
    width, height = size
    return (height, width) if is_sideways(orientation) else (width, height)


def place_in_file(xy: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Convert points from the upright photo to its file.

    Args:
        xy: float [..., 2], pixels from the upper left corner of the upright photo.
        size: width and height of the upright photo in pixels.
        orientation: EXIF orientation, 1 to 8.

    Returns:
        float64 [..., 2], pixels from the upper left corner of the file's image.
    """
    return (xy - np.array(size) / 2) @ steps(orientation).T + np.array(size_in_file(size, orientation)) / 2
