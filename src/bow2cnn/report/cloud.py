"""Pictures of 3D models: coloured points and cameras, drawn with numpy, and the same data packed for the viewer on the page."""

import base64
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from bow2cnn.reconstruction.cameras import camera_centers

_WIDTH, _HEIGHT = 560, 360
_SAMPLES = 2  # the picture is drawn this many times larger, then shrunk
_DISTANCE = 4.0  # of the eye from the middle of the scene, in radii of the scene
_YAW, _PITCH = np.radians(38.0), np.radians(22.0)  # beside and above the cameras, so that depth shows
_SKY, _GROUND = np.array([28, 36, 46]), np.array([12, 16, 22])
_CAMERA = (255, 178, 76)
_FRUSTUM = np.array([[0, 0, 0], [-1, -0.75, 1.2], [1, -0.75, 1.2], [1, 0.75, 1.2], [-1, 0.75, 1.2]])
_EDGES = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)]
_RANGE = 4.0  # packed coordinates are clipped at this many radii


class Scene(NamedTuple):
    """A model as the eye sees it: x right, y down, z away, in radii of the scene around its middle.

    Attributes:
        point: float64 [X, 3].
        color: uint8 [X, 3].
        camera: float64 [n, 5, 3], centre and four corners of each camera's frustum.
        zoom: half widths of the picture per radius, at the middle of the scene.
    """

    point: np.ndarray
    color: np.ndarray
    camera: np.ndarray
    zoom: float


def arrange(point: np.ndarray, color: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> Scene:
    """Choose from where the model is seen.

    Up is the mean up direction of the cameras. The eye is on the side of the cameras, a little beside and above them. If the cameras look
    into all directions, the eye looks along the horizontal axis in which the points extend least.

    Args:
        point: float [X, 3].
        color: uint8 [X, 3].
        rotation: of at least one camera, float [n, 3, 3], x_cam = R X + t.
        translation: of the cameras, float [n, 3].
    """
    rotation = np.asarray(rotation, float)
    center = camera_centers(rotation, translation)
    axes = _axes(np.asarray(point, float), rotation)
    point, center = point @ axes.T, center @ axes.T
    low, high = _frame(point, center)
    keep = ((point >= low - (high - low)) & (point <= high + (high - low))).all(1)
    point, color = point[keep], color[keep]
    middle, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-9)
    point, center = (point - middle) / radius, (center - middle) / radius
    shown = np.concatenate([point, center])
    shown = shown[((shown >= (low - middle) / radius) & (shown <= (high - middle) / radius)).all(1)]
    shift, zoom = _fit(shown if len(shown) else np.zeros((1, 3)))
    size = 0.06 if len(center) < 30 else 0.04
    frusta = size * _FRUSTUM @ (rotation @ axes.T)  # rows of a rotation are the camera's axes, here in the eye's
    return Scene(point - shift, color, (center - shift)[:, None] + frusta, zoom)


def draw(scene: Scene) -> np.ndarray:
    """Draw a scene, uint8 RGB [360, 560, 3]."""
    width, height = _WIDTH * _SAMPLES, _HEIGHT * _SAMPLES
    canvas = np.linspace(_SKY, _GROUND, height)[:, None].repeat(width, 1).astype(np.uint8)
    xy, depth = _project(scene.point, scene.zoom, width, height)
    order = np.argsort(-depth, kind="stable")  # far points first, so that near points cover them
    order = order[depth[order] > 0.2]
    splat = _disc(len(order))
    pixel = (np.rint(xy[order])[:, None].astype(int) + splat).reshape(-1, 2)
    paint = np.repeat(_shade(scene.color[order], depth[order]), len(splat), 0)
    inside = ((pixel >= 0) & (pixel < (width, height))).all(1)
    canvas[pixel[inside, 1], pixel[inside, 0]] = paint[inside]
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image, "RGBA")
    for frustum in scene.camera:
        ends, away = _project(frustum, scene.zoom, width, height)
        if away.min() > 0.2:
            pen.polygon([tuple(ends[i]) for i in (1, 2, 3, 4)], fill=(*_CAMERA, 22))
            for a, b in _EDGES:
                pen.line([tuple(ends[a]), tuple(ends[b])], fill=(*_CAMERA, 150), width=_SAMPLES)
    return np.asarray(image.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX))


def pack(scene: Scene, limit: int) -> dict[str, str | float]:
    """Pack a scene for the viewer on the page.

    Args:
        scene: what is shown.
        limit: largest number of points.

    Returns:
        base64 of the coordinates of `points` and `cameras` (uint16, see `_quantise`) and of the `colors` of the points (uint8), and `zoom`.
    """
    step = -(-len(scene.point) // limit) or 1
    point, color = scene.point[::step], scene.color[::step]
    return {
        "points": _base64(_quantise(point)),
        "colors": _base64(_brighten(color).astype(np.uint8)),
        "cameras": _base64(_quantise(scene.camera.reshape(-1, 3))),
        "zoom": round(scene.zoom, 4),
    }


def _disc(count):
    """Offsets of the pixels that one point covers; if there are few points, each is drawn larger."""
    radius = _SAMPLES * float(np.clip(95.0 / np.sqrt(max(count, 1)), 1.1, 2.6))
    reach = int(np.ceil(radius))
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    return np.stack([x, y], -1)[x**2 + y**2 <= radius**2]


def _axes(point, rotation):
    """Right, down and forward of the eye in the model's coordinates, rows of a [3, 3]."""
    up = _unit(-rotation[:, 1].mean(0), np.array([0.0, -1.0, 0.0]))
    forward = rotation[:, 2].mean(0)
    flat = forward - up * (forward @ up)
    if np.linalg.norm(flat) < 0.35:
        flat = _thinnest(point, up)
    flat = _unit(flat, np.cross(up, [1.0, 0.0, 0.0]))
    right = np.cross(-up, flat)
    flat = np.cos(_YAW) * flat + np.sin(_YAW) * right
    forward = _unit(np.cos(_PITCH) * flat - np.sin(_PITCH) * up, flat)
    right = _unit(np.cross(forward, up), right)
    return np.stack([right, np.cross(forward, right), forward])


def _thinnest(point, up):
    """The horizontal direction in which the points extend least."""
    flat = point - np.median(point, 0)
    flat = flat - np.outer(flat @ up, up)
    return np.linalg.eigh(flat.T @ flat + 1e9 * np.outer(up, up))[1][:, 0]


def _unit(vector, otherwise):
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-9 else otherwise / np.linalg.norm(otherwise)


def _frame(point, center):
    """Low and high corner of the box that the picture shows: most points and most cameras.

    Stray points are outside the box, and so are cameras that are far away, because they would make the points tiny.
    """
    low, high = np.percentile(point, [2, 98], axis=0)
    reach = 0.8 * float((high - low).max()) + 1e-9
    first, last = np.percentile(center, [3, 97], axis=0)
    return np.clip(first, low - reach, low), np.clip(last, high, high + reach)


def _fit(shown):
    """The shift that centres these points in the picture, and the zoom that fills it with them."""
    shift = np.zeros(3)
    for _ in range(3):
        scale = _DISTANCE / (_DISTANCE + np.maximum((shown - shift)[:, 2:], -0.8 * _DISTANCE))
        flat = (shown - shift)[:, :2] * scale
        low, high = flat.min(0), flat.max(0)
        shift[:2] += (low + high) / 2
    wide, tall = (high - low) / 2
    return shift, float(0.9 / max(wide, tall * _WIDTH / _HEIGHT, 1e-6))


def _project(point, zoom, width, height):
    depth = _DISTANCE + point[..., 2]
    scale = zoom * width / 2 * _DISTANCE / np.maximum(depth, 1e-6)
    return np.array([width / 2, height / 2]) + point[..., :2] * scale[..., None], depth


def _shade(color, depth):
    """Colours that are bright on the dark ground, and fade into it with distance."""
    fog = np.clip((depth - _DISTANCE) / 5.0, 0.0, 0.6)[:, None]
    return ((1 - fog) * _brighten(color) + fog * _SKY).astype(np.uint8)


def _brighten(color):
    return 255 * (color / 255.0) ** 0.75


def _quantise(values):
    return np.rint((np.clip(values / _RANGE, -1, 1) * 0.5 + 0.5) * 65535).astype("<u2")


def _base64(values):
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
