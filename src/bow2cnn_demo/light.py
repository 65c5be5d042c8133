"""Sun, shadows, haze and sky."""

from dataclasses import dataclass

import cv2
import numpy as np

from .geometry import Camera, Face, look_at
from .render import SUPERSAMPLE, Buffers, rasterise

SHADOW_SIZE = 640  # side of the shadow map, pixels
SUN_DISTANCE = 500.0  # metres; the sun's rays are nearly parallel


@dataclass(frozen=True)
class Light:
    """The light of one photo.

    Attributes:
        azimuth, elevation: of the sun, radians; azimuth 0 is south, positive is east.
        sun, ambient, zenith, horizon: linear RGB factors.
        cover: amount of clouds, 0 to 1.
        clouds: offset into the cloud texture, as fractions of its size.
        haze: distance at which haze replaces 63 % of the color, metres.
    """

    azimuth: float
    elevation: float
    sun: tuple[float, float, float] = (0.72, 0.69, 0.62)
    ambient: tuple[float, float, float] = (0.42, 0.45, 0.5)
    zenith: tuple[float, float, float] = (0.25, 0.46, 0.78)
    horizon: tuple[float, float, float] = (0.78, 0.86, 0.93)
    cover: float = 0.5
    clouds: tuple[float, float] = (0.0, 0.0)
    haze: float = 260.0  # metres

    @property
    def direction(self) -> np.ndarray:
        """Unit vector from the scene to the sun, float64 [3]."""
        flat = np.cos(self.elevation)
        return np.array([flat * np.sin(self.azimuth), -flat * np.cos(self.azimuth), np.sin(self.elevation)])


def shadow_map(faces: list[Face], light: Light, radius: float) -> tuple[Camera, np.ndarray]:
    """A camera at the sun that sees `radius` metres around the landmark, and its inverse depths, float32 [h, w]."""
    focal = SHADOW_SIZE / 2 / (radius / SUN_DISTANCE)
    target = np.array([0, 0, radius * 0.2])
    sun = look_at(target + light.direction * SUN_DISTANCE, target, focal, SHADOW_SIZE, SHADOW_SIZE)
    return sun, rasterise(faces, sun, scale=1).inverse_depth


def pixel_rays(camera: Camera, step: int) -> np.ndarray:
    """Directions with unit depth in the world, float32 [h, w, 3], of every `step`-th pixel of the image."""
    x = ((np.arange(0, camera.width, step) + step / 2) - camera.width / 2) / camera.focal
    y = ((np.arange(0, camera.height, step) + step / 2) - camera.height / 2) / camera.focal
    r = camera.rotation
    return (x[None, :, None] * r[0] + y[:, None, None] * r[1] + r[2]).astype(np.float32)


def sunlit(buffers: Buffers, camera: Camera, faces: list[Face], light: Light, radius: float) -> np.ndarray:
    """Share of the sunlight that reaches each pixel, float32 [h, w] in [0, 1]. Points outside the shadow map are lit."""
    sun, seen = shadow_map(faces, light, radius)
    step = buffers.index.shape[1] // camera.width
    inverse = buffers.inverse_depth[step // 2 :: step, step // 2 :: step]
    depth = 1 / np.maximum(inverse, 1e-4)
    # pixel in the shadow map of the point at ray * depth + centre, computed from the ray and the depth
    projection = (sun.matrix @ sun.rotation).astype(np.float32)
    offset = (sun.matrix @ (sun.rotation @ camera.centre + sun.translation)).astype(np.float32)
    points = cv2.transform(pixel_rays(camera, 1) * depth[:, :, None], projection) + offset
    x, y = points[:, :, 0] / points[:, :, 2] - 0.5, points[:, :, 1] / points[:, :, 2] - 0.5
    nearest = cv2.remap(seen, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    bias = 0.12 / SUN_DISTANCE**2  # 12 cm, so that a face does not shade itself
    lit = (nearest <= 1 / points[:, :, 2] + bias).astype(np.float32)
    return cv2.GaussianBlur(lit, (0, 0), 0.9)


def sky(camera: Camera, light: Light, clouds: np.ndarray) -> np.ndarray:
    """The sky behind the image, float32 [h, w, 3] in [0, 1]: a gradient, with clouds on a plane high above."""
    rays = pixel_rays(camera, 2)
    rise = rays[:, :, 2] / np.linalg.norm(rays, axis=2)
    mix = np.clip(rise / 0.55, 0, 1)[:, :, None] ** 0.6
    horizon, zenith = (np.array(color, np.float32) for color in (light.horizon, light.zenith))
    color = (1 - mix) * horizon + mix * zenith
    size = clouds.shape[0]
    reach = 95 / np.maximum(rays[:, :, 2], 0.03)
    x = (rays[:, :, 0] * reach + light.clouds[0] * size).astype(np.float32)
    y = (rays[:, :, 1] * reach + light.clouds[1] * size).astype(np.float32)
    cover = cv2.remap(clouds, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    cover = np.clip((cover - (1 - light.cover)) * 3, 0, 1) * np.clip((rise - 0.03) * 6, 0, 1) * 0.85
    white = np.minimum(horizon * 1.15, 1.0)
    color = color * (1 - cover[:, :, None]) + white * cover[:, :, None]
    return cv2.resize(color.astype(np.float32), (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)


def face_light(faces: list[Face], camera: Camera, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Ambient light of each face, by the share of the sky that it sees, and cosine of the angle to the sun, float32 [n] each."""
    normals = np.array([face.normal for face in faces])
    away = np.array([face.two_sided and face.normal @ (camera.centre - face.origin) < 0 for face in faces])
    normals[away] *= -1
    cosine = np.clip(normals @ light.direction, 0, 1)
    # leaves and people are billboards: they take the light from all sides
    cosine = np.where([face.two_sided for face in faces], 0.55, cosine)
    return (0.8 + 0.2 * normals[:, 2]).astype(np.float32), cosine.astype(np.float32)


def shade(buffers: Buffers, camera: Camera, faces: list[Face], light: Light, clouds: np.ndarray, radius: float) -> np.ndarray:
    """The lit image at the size of the camera, float32 [h, w, 3] in [0, 1]; see `photograph`."""
    ambient, cosine = face_light(faces, camera, light)
    lit = sunlit(buffers, camera, faces, light, radius)
    size = (camera.width, camera.height)
    step = buffers.index.shape[1] // camera.width
    whole = (buffers.index.shape[1], buffers.index.shape[0])
    direct = cosine[buffers.index] * cv2.resize(lit, whole, interpolation=cv2.INTER_LINEAR)
    share = ambient[buffers.index]
    solid = (buffers.index >= 0).astype(np.float32)
    share, direct = share * solid / 255, direct * solid / 255
    image = np.empty((camera.height, camera.width, 3), np.float32)
    for c in range(3):
        channel = buffers.color[:, :, c] * (light.ambient[c] * share + light.sun[c] * direct)
        image[:, :, c] = cv2.resize(channel, size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(solid, size, interpolation=cv2.INTER_AREA)[:, :, None]
    inverse = np.maximum(buffers.inverse_depth[step // 2 :: step, step // 2 :: step], 1 / 400)
    haze = (1 - np.exp(-1 / (inverse * light.haze)))[:, :, None]
    image += (cover * np.array(light.horizon, np.float32) * 0.9 - image) * haze * (cover > 0)
    return image + sky(camera, light, clouds) * (1 - cover)


def photograph(
    faces: list[Face], camera: Camera, light: Light, clouds: np.ndarray, radius: float, supersample: int = SUPERSAMPLE
) -> np.ndarray:
    """The image that a camera sees.

    Args:
        faces: the scene.
        camera: the camera.
        light: the light.
        clouds: cloud texture, float32 [n, n] in [0, 1].
        radius: distance from the landmark within which there are shadows, metres.
        supersample: factor of the size at which faces are drawn.

    Returns:
        float32 [h, w, 3], RGB in [0, 1].
    """
    return shade(rasterise(faces, camera, supersample), camera, faces, light, clouds, radius)
