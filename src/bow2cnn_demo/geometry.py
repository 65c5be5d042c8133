"""Cameras and textured rectangles of the demo world.

World: metres, x east, y north, z up, ground at z = 0; a landmark stands at the origin and its front faces south (-y).
Camera: looks along +z, x right, y down, x_pixel = K (R X + t). Pixel coordinates have their origin at the top left
CORNER of the image, so the centre of the first pixel is (0.5, 0.5), as in COLMAP.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: focal length in pixels, image size in pixels, world-to-camera rotation (3, 3) and t (3,)."""

    focal: float
    width: int
    height: int
    rotation: np.ndarray
    translation: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """K (3, 3); the principal point is the centre of the image."""
        return np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1.0]])

    @property
    def centre(self) -> np.ndarray:
        """Camera centre in the world (3,), metres."""
        return -self.rotation.T @ self.translation

    def resized(self, factor: float) -> "Camera":
        """The same view in an image of another size."""
        return Camera(self.focal * factor, round(self.width * factor), round(self.height * factor), self.rotation, self.translation)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (n, 3) to pixels (n, 2) and depths along the optical axis (n,), metres."""
        rays = (points @ self.rotation.T + self.translation) @ self.matrix.T
        return rays[:, :2] / rays[:, 2:], rays[:, 2]


def look_at(centre, target, focal: float, width: int, height: int, roll: float = 0.0) -> Camera:
    """A camera at `centre` looking at `target` (both (3,), metres), turned by `roll` radians about its axis."""
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
    """The texture and its area-filtered halvings, so that far faces are sampled without aliasing."""
    levels = [np.ascontiguousarray(texture)]
    while min(levels[-1].shape[:2]) >= 8 and len(levels) < 6:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return levels


@dataclass
class Face:
    """A textured rectangle in the world.

    `origin` is the corner where the texture's first pixel lies; `across` and `down` are its edges along texture
    columns and rows (all (3,), metres). Seen from its front, `across` runs right and `down` runs down. The texture is
    RGB or RGBA uint8; where alpha is below 128 there is a hole.
    """

    origin: np.ndarray
    across: np.ndarray
    down: np.ndarray
    texture: np.ndarray
    two_sided: bool = False
    levels: list[np.ndarray] = field(init=False, repr=False)

    def __post_init__(self):
        self.origin, self.across, self.down = (np.asarray(v, float) for v in (self.origin, self.across, self.down))
        self.levels = pyramid(self.texture)

    @property
    def normal(self) -> np.ndarray:
        """Unit normal (3,), pointing to the side the face is seen from."""
        normal = np.cross(self.down, self.across)
        return normal / np.linalg.norm(normal)

    @property
    def corners(self) -> np.ndarray:
        """The four corners (4, 3), around the rectangle."""
        o, a, d = self.origin, self.across, self.down
        return np.stack([o, o + a, o + a + d, o + d])
