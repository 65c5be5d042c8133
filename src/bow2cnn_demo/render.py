"""Draws faces into an image with a depth buffer.

The buffer holds inverse depths. On a plane these are an affine function of the pixel, so they are exact without interpolation. Faces are
drawn at SUPERSAMPLE times the image size, which is reduced after shading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .geometry import Camera, Face

SUPERSAMPLE = 2
NEAR = 0.3  # metres; parts of faces that are nearer to the camera plane are clipped
FAR_OUT = 5000.0  # pixels; outlines that reach farther are clipped


@dataclass
class Buffers:
    """The visible surface of every supersampled pixel.

    Attributes:
        color: albedo, uint8 [h, w, 3].
        inverse_depth: float32 [h, w], 1 / metres; 0 for the sky.
        index: number of the face, int16 [h, w]; -1 for the sky.
    """

    color: np.ndarray
    inverse_depth: np.ndarray
    index: np.ndarray


def clip(points: np.ndarray, plane: Sequence[float]) -> np.ndarray:
    """The part of a convex polygon, float [n, 3], where `points @ plane[:3] >= plane[3]`: float [m, 3]."""
    inside = points @ np.asarray(plane[:3], float) - plane[3]
    kept = []
    for i in range(len(points)):
        j = (i + 1) % len(points)
        if inside[i] >= 0:
            kept.append(points[i])
        if (inside[i] >= 0) != (inside[j] >= 0):
            kept.append(points[i] + (points[j] - points[i]) * inside[i] / (inside[i] - inside[j]))
    return np.array(kept).reshape(-1, 3)


def outline(face: Face, camera: Camera, scale: int) -> np.ndarray | None:
    """The outline of a face in supersampled pixels, float [m, 2]; None if it is not visible."""
    if not face.two_sided and face.normal @ (camera.centre - face.origin) <= 0:
        return None
    points = (face.corners @ camera.rotation.T + camera.translation) @ camera.matrix.T
    points = clip(points, (0, 0, 1, NEAR))
    if len(points) and np.abs(points[:, :2] / points[:, 2:]).max() > FAR_OUT:
        # far outside the image the fixed-point numbers of OpenCV would overflow
        for plane in ((1, 0, FAR_OUT, 0), (-1, 0, FAR_OUT, 0), (0, 1, FAR_OUT, 0), (0, -1, FAR_OUT, 0)):
            points = clip(points, plane)
    return scale * points[:, :2] / points[:, 2:] if len(points) >= 3 else None


def choose_level(face: Face, area: float, visible: float) -> np.ndarray:
    """The pyramid level whose texels are about as large as pixels.

    Args:
        face: the face.
        area: of its outline, supersampled pixels.
        visible: fraction of the face inside the outline.
    """
    height, width = face.levels[0].shape[:2]
    ratio = np.sqrt(height * width * visible / max(area, 1.0))
    level = int(np.clip(np.floor(np.log2(max(ratio, 1.0)) + 0.35), 0, len(face.levels) - 1))
    return face.levels[level]


def draw_face(buffers: Buffers, face: Face, number: int, camera: Camera, scale: int) -> None:
    """Draw one face where it is nearer than the faces drawn before."""
    polygon = outline(face, camera, scale)
    if polygon is None:
        return
    rows, columns = buffers.index.shape
    left, top = np.maximum(np.floor(polygon.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(polygon.max(0)).astype(int) + 1, [columns, rows])
    if left >= right or top >= bottom:
        return
    box = np.s_[top:bottom, left:right]
    # (u, v) on the face in [0, 1] to pixels: depth * pixel = plane @ (u, v, 1); the inverse's last row is 1 / depth.
    r, t = camera.rotation, camera.translation
    plane = camera.matrix @ np.stack([r @ face.across, r @ face.down, r @ face.origin + t], axis=1)
    if abs(np.linalg.det(plane)) < 1e-9:
        return
    to_pixel = np.array([[1 / scale, 0, (left + 0.5) / scale], [0, 1 / scale, (top + 0.5) / scale], [0, 0, 1.0]])
    to_face = np.linalg.inv(plane) @ to_pixel
    x = np.arange(right - left, dtype=np.float32) * np.float32(to_face[2, 0])
    y = np.arange(bottom - top, dtype=np.float32) * np.float32(to_face[2, 1]) + np.float32(to_face[2, 2])
    inverse_depth = x[None, :] + y[:, None]
    mask = np.zeros(inverse_depth.shape, np.uint8)
    # OpenCV puts pixel centres at integers, hence the half; 4 fractional bits keep the edges exact.
    cv2.fillConvexPoly(mask, np.round((polygon - [left + 0.5, top + 0.5]) * 16).astype(np.int32), 1, shift=4)
    wins = (inverse_depth > buffers.inverse_depth[box]) & mask.astype(bool)
    if not wins.any():
        return
    whole = len(polygon) == 4
    texture = choose_level(face, cv2.contourArea(polygon.astype(np.float32)), 1.0 if whole else 0.5)
    height, width = texture.shape[:2]
    to_texture = np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1.0]]) @ to_face
    patch = cv2.warpPerspective(
        texture, to_texture, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    if patch.shape[2] == 4:
        wins &= patch[:, :, 3] > 127
    np.copyto(buffers.inverse_depth[box], inverse_depth, where=wins)
    np.copyto(buffers.index[box], np.int16(number), where=wins)
    np.copyto(buffers.color[box], patch[:, :, :3], where=wins[:, :, None])


def rasterise(faces: list[Face], camera: Camera, scale: int = SUPERSAMPLE) -> Buffers:
    """Draw all faces. Near ones are drawn first, which saves time for the textures behind them; the result does not depend on the order."""
    rows, columns = camera.height * scale, camera.width * scale
    buffers = Buffers(
        np.zeros((rows, columns, 3), np.uint8),
        np.zeros((rows, columns), np.float32),
        np.full((rows, columns), -1, np.int16),
    )
    distances = [np.linalg.norm(face.corners.mean(0) - camera.centre) for face in faces]
    for number in np.argsort(distances, kind="stable"):
        draw_face(buffers, faces[number], int(number), camera, scale)
    return buffers
