"""EXIF orientations: how the pixels of a file lie in the upright photo.

bow2cnn uses upright coordinates everywhere. COLMAP and hloc use the pixels as the file stores them, so exports convert coordinates here.
Pillow's `exif_transpose` turns pixels, not coordinates.
"""

import numpy as np

# A step along x and along y of the upright photo (the columns) in the file, for the orientations 1 to 8: from EXIF 2.32, tag 274, which
# says of each on which side of the upright photo the file's first row and first column are.
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
    """The rotation or reflection from the upright photo to its file, float64 [2, 2]."""
    return _STEPS[orientation - 1]


def is_sideways(orientation: int) -> bool:
    """Whether width and height of file and upright photo are swapped."""
    return orientation >= 5


def is_mirrored(orientation: int) -> bool:
    """Whether the file shows the scene as a mirror would."""
    return np.linalg.det(steps(orientation)) < 0


def size_in_file(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of the file of an upright photo."""
    return tuple(size[::-1]) if is_sideways(orientation) else tuple(size)


def place_in_file(xy: np.ndarray, size: tuple[int, int], orientation: int) -> np.ndarray:
    """Places in the upright photo as places in its file.

    Args:
        xy: float [..., 2], pixels from the upper left corner of the photo.
        size: width and height of the upright photo.
        orientation: 1 to 8.

    Returns:
        float64 [..., 2].
    """
    return (xy - np.array(size) / 2) @ steps(orientation).T + np.array(size_in_file(size, orientation)) / 2
