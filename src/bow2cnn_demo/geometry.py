"""Cameras and textured rectangles of the demo world.

World: metres, x east, y north, z up, ground at z = 0. A landmark stands at the origin, and its front faces south (-y).
Camera: it looks along +z, x right, y down, x_pixel = K (R X + t). The origin of pixel coordinates is the top left corner of the image, so
the centre of the first pixel is (0.5, 0.5), as in COLMAP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

Vector = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        focal: focal length, pixels.
        width, height: of the image, pixels.
        rotation, translation: from the world to the camera, float64 [3, 3] and [3].
    """

    focal: float
    width: int
    height: int
    rotation: np.ndarray
    translation: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """K, float64 [3, 3]; the principal point is the centre of the image."""
        return np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1.0]])

    @property
    def centre(self) -> np.ndarray:
        """Camera centre in the world, float64 [3], metres."""
        return -self.rotation.T @ self.translation

    def resized(self, factor: float) -> "Camera":
        """The same view in an image of another size."""
        return Camera(self.focal * factor, round(self.width * factor), round(self.height * factor), self.rotation, self.translation)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels, float [n, 2], and depths along the optical axis in metres, float [n], of points of the world, float [n, 3]."""
        rays = (points @ self.rotation.T + self.translation) @ self.matrix.T
        return rays[:, :2] / rays[:, 2:], rays[:, 2]


def look_at(centre: Vector, target: Vector, focal: float, width: int, height: int, roll: float = 0.0) -> Camera:
    """A camera at `centre` that looks at `target` (float [3], metres) and is turned by `roll` radians about its axis."""
    centre = np.asarray(centre, float)
    forward = np.asarray(target, float) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    upright = np.stack([right, np.cross(forward, right), forward])
    cos, sin = np.cos(roll), np.sin(roll)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]]) @ upright
    return Camera(float(focal), int(width), int(height), rotation, -rotation @ centre)


def pyramid(texture: np.ndarray) -> list[np.ndarray]:
    """A texture and versions of it at half the size of the one before, so that far faces are sampled without aliasing."""
    levels = [np.ascontiguousarray(texture)]
    while min(levels[-1].shape[:2]) >= 8 and len(levels) < 6:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return levels


@dataclass
class Face:
    """A textured rectangle in the world.

    Attributes:
        origin: corner of the texture's first pixel, float64 [3], metres.
        across, down: edges along the texture's rows and columns, float64 [3], metres; seen from the front, to the right and down.
        texture: uint8 [h, w, 3 or 4], RGB or RGBA; there is a hole where alpha is below 128.
        two_sided: the back is visible too.
        levels: see `pyramid`.
    """

    origin: np.ndarray
    across: np.ndarray
    down: np.ndarray
    texture: np.ndarray
    two_sided: bool = False
    levels: list[np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.origin, self.across, self.down = (np.asarray(v, float) for v in (self.origin, self.across, self.down))
        self.levels = pyramid(self.texture)

    @property
    def normal(self) -> np.ndarray:
        """Unit normal, float64 [3], which points to the front."""
        normal = np.cross(self.down, self.across)
        return normal / np.linalg.norm(normal)

    @property
    def corners(self) -> np.ndarray:
        """The four corners in order, float64 [4, 3]."""
        o, a, d = self.origin, self.across, self.down
        return np.stack([o, o + a, o + a + d, o + d])
