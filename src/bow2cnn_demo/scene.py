"""The surroundings of a landmark: ground, small objects, trees and skyline; and people who pass by."""

from dataclasses import dataclass

import cv2
import numpy as np

from .facades import facade, leaves, material, painting, plain
from .geometry import Camera, Face
from .landmarks import BUILDERS
from .shapes import billboard, box, frustum, polygon
from .styles import Style, random_style
from .textures import noise, texels, tint, tone

GROUND_TEXELS = 20  # per metre, near the landmark
REACH = 36  # distance from the centre to the border of the detailed ground, metres
COATS = [(190, 70, 60), (70, 110, 170), (220, 190, 90), (90, 140, 100), (230, 226, 216), (120, 90, 140)]
TILE = 9  # side of the ground's tiles, metres; each tile is filtered for its own distance


@dataclass
class Scene:
    """A landmark with its surroundings.

    Attributes:
        faces: all faces.
        clouds: cloud texture, float32 [n, n] in [0, 1].
        width, height: of the landmark, metres.
        distance: from which the landmark fills a photo well, metres.
    """

    faces: list[Face]
    clouds: np.ndarray
    width: float
    height: float
    distance: float

    @property
    def radius(self) -> float:
        """Distance from the landmark within which there are shadows, metres."""
        return 1.6 * max(self.width / 2, self.height)


def ground_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Grass and earth with a paved place in the middle, uint8 [size, size, 3], GROUND_TEXELS per metre."""
    grass = np.array([tone(rng, (104, 122, 66), 0.12), tone(rng, (150, 132, 94), 0.1)], np.float32)
    mix = np.clip(0.5 + 0.6 * noise(rng, size, size, 3 * GROUND_TEXELS, 5), 0, 1)[:, :, None]
    image = (grass[0] * mix + grass[1] * (1 - mix)).astype(np.uint8)
    image = tint(image, np.exp(0.2 * noise(rng, size, size, 5, 2)))
    paving = np.empty_like(image)
    stone = tone(rng, (168, 158, 142), 0.1)
    paving[:] = np.asarray(stone) * 0.6
    y = 0
    while y < size:
        row, x = int(rng.uniform(0.4, 0.9) * GROUND_TEXELS), -int(rng.uniform(0, 1) * GROUND_TEXELS)
        while x < size:
            length = int(rng.uniform(0.4, 1.5) * GROUND_TEXELS)
            cv2.rectangle(paving, (x, y), (x + length - 2, y + row - 2), tone(rng, stone, 0.2), -1)
            x += length
        y += row
    v, u = (np.mgrid[0:size, 0:size] / GROUND_TEXELS - REACH).astype(np.float32)
    edge = np.hypot(u / 1.15, v) + 0.7 * noise(rng, size, size, 2.5 * GROUND_TEXELS, 3)
    path = np.abs(u + 1.5 * np.sin(v / 6)) + 0.3 * noise(rng, size, size, 2 * GROUND_TEXELS, 3)
    paved = (edge < rng.uniform(9, 13)) | ((path < 1.9) & (v > 0))
    image[paved] = paving[paved]
    return tint(image, np.exp(0.1 * noise(rng, size, size, 1.5 * GROUND_TEXELS, 4)))


def ground(rng: np.random.Generator) -> list[Face]:
    """Detailed tiles around the landmark, and a coarse plane, 5 cm lower, to the horizon."""
    size = 2 * REACH * GROUND_TEXELS
    image, step = ground_texture(rng, size), TILE * GROUND_TEXELS
    faces = []
    for i in range(0, size, step):
        for j in range(0, size, step):
            corner = np.array([j / GROUND_TEXELS - REACH, REACH - i / GROUND_TEXELS, 0])
            faces.append(Face(corner, np.array([TILE, 0, 0]), np.array([0, -TILE, 0]), image[i : i + step, j : j + step]))
    far = np.empty((256, 256, 3), np.uint8)
    far[:] = cv2.resize(image, (1, 1), interpolation=cv2.INTER_AREA)[0, 0] * 0.4 + np.array([104, 122, 66]) * 0.6
    far = tint(far, np.exp(0.15 * noise(rng, 256, 256, 24, 4)))
    return [*faces, Face(np.array([-160, 160, -0.05]), np.array([320, 0, 0]), np.array([0, -320, 0]), far)]


def skyline(rng: np.random.Generator, radius: float = 62.0, panels: int = 16) -> list[Face]:
    """A ring of distant house fronts and hills around the scene, as cut-outs."""
    faces = []
    wide = 2 * radius * np.tan(np.pi / panels)
    hues = [(176, 150, 128), (150, 126, 112), (186, 172, 150), (140, 140, 140), (168, 120, 96)]
    for i in range(panels):
        w, h = int(wide * 8), 16 * 8
        image = np.full((h, w, 4), 0, np.uint8)
        image[:, :, :3] = (86, 100, 74)
        hills = (0.72 - 0.1 * noise(rng, 1, w, 60, 3)[0]) * h
        image[np.arange(h)[:, None] > hills[None, :], 3] = 255
        image[:, :, :3] = tint(image[:, :, :3], np.exp(0.3 * noise(rng, h, w, 9, 3)))
        x = int(rng.uniform(0, 30))
        while x < w - 30:
            wide_px, tall = int(rng.uniform(24, 64)), int(rng.uniform(24, 92))
            wall = (*tone(rng, hues[rng.integers(5)], 0.15), 255)
            cv2.rectangle(image, (x, h - tall), (x + wide_px, h), wall, -1)
            peak = int(rng.uniform(0, 22))
            roof = np.array([[x - 2, h - tall], [x + wide_px + 2, h - tall], [x + wide_px // 2, h - tall - peak]])
            cv2.fillPoly(image, [roof], (*tone(rng, (140, 84, 66), 0.25), 255))
            for y in range(h - tall + 5, h - 10, 11):
                for at in range(x + 4, x + wide_px - 6, 10):
                    if rng.random() < 0.7:
                        cv2.rectangle(image, (at, y), (at + 4, y + 6), (*tone(rng, (70, 78, 92), 0.3), 255), -1)
            x += wide_px + int(rng.uniform(-6, 40))
        angle = 2 * np.pi * i / panels
        centre = (radius * np.sin(angle), radius * np.cos(angle), -0.5)
        faces.append(billboard(image, centre, wide * 1.01, 16, -angle))
    return faces


def small_objects(rng: np.random.Generator, style: Style, width: float, depth: float, distance: float) -> list[Face]:
    """Kiosks, blocks, planters, poster columns and trees, at places where there is no camera.

    Args:
        rng: random numbers.
        style: of the landmark.
        width, depth: of the landmark, metres.
        distance: see `Scene`.
    """
    faces: list[Face] = []
    taken: list[tuple[float, float]] = []
    for i in range(13):
        tree = i >= 8
        for _ in range(60):
            front = not tree and i < 4
            r = rng.uniform(0.25, 0.5) * distance + (0 if front else 0.35 * width)
            angle = rng.uniform(-0.9, 0.9) if front else rng.uniform(0.55 * np.pi, 1.45 * np.pi)
            x, y = r * np.sin(angle), -r * np.cos(angle)
            clear = abs(x) > width / 2 + 0.8 or abs(y) > depth / 2 + 0.9
            if clear and all(np.hypot(x - a, y - b) > 2.4 for a, b in taken):
                break
        else:
            continue
        taken.append((x, y))
        yaw = rng.uniform(-0.6, 0.6)
        if tree:
            tall = rng.uniform(3.5, 6.5)
            crown = leaves(rng, tall * 0.75, tall, tone(rng, (88, 124, 56), 0.15))
            for turn in (0, np.pi / 3, 2 * np.pi / 3):
                faces.append(billboard(crown, (x, y, 0), tall * 0.75, tall, yaw + turn))
        elif i % 4 == 0:
            faces += frustum(rng, polygon((x, y), 0.45, 8), 0, 1.7, painting(style), cap=plain(style))
        elif i % 4 == 1:
            faces += box(rng, (x, y), (1.7, 0.9, 0.7), 0, painting(style), material("planks", (96, 120, 60)), yaw)
        elif i % 4 == 2:
            faces += box(rng, (x, y), (1.2, 1.2, 0.9), 0, plain(style), painting(style), yaw)
        else:
            kiosk = facade(style, windows=1.0)
            faces += box(rng, (x, y), (1.7, 1.4, 1.9), 0, [kiosk, painting(style)], plain(style), yaw)
    return faces


def build_scene(seed: list[int], kind: int, style: Style | None = None) -> Scene:
    """Build the scene of a landmark.

    Args:
        seed: of all details.
        kind: row of `BUILDERS`.
        style: None to draw one.
    """
    rng = np.random.default_rng(seed)
    builder, walls = BUILDERS[kind % len(BUILDERS)]
    style = style or random_style(rng, walls)
    faces = builder(rng, style)
    points = np.concatenate([face.corners for face in faces])
    (x0, y0, _), (x1, y1, z1) = points.min(axis=0), points.max(axis=0)
    width = 2 * max(-x0, x1)
    distance = 0.35 * max(-y0, y1) + max(z1 / 0.72, width / 0.96)
    faces += small_objects(rng, style, width, 2 * max(-y0, y1), distance)
    faces += ground(rng) + skyline(rng)
    clouds = noise(rng, 512, 512, 128, 5)
    clouds = np.clip(0.5 + 0.25 * clouds, 0, 1)
    return Scene(faces, clouds, width, z1, distance)


def pedestrian(rng: np.random.Generator) -> np.ndarray:
    """Cut-out of a standing person, 0.75 x 1.8 m, uint8 [h, w, 4] RGBA."""
    w, h = texels(0.75), texels(1.8)
    image = np.zeros((h, w, 4), np.uint8)
    image[:, :, :3] = (90, 80, 76)
    colors = (COATS[rng.integers(len(COATS))], (84, 86, 110), (214, 170, 142))
    coat, trousers, skin = (tone(rng, color, 0.2) for color in colors)
    m = w // 2
    for side in (-1, 1):
        cv2.line(image, (m + side * 3, h * 5 // 10), (m + side * int(rng.integers(3, 8)), h - 2), (*trousers, 255), 7)
        hand = (m + side * int(rng.integers(9, 13)), int(h * rng.uniform(0.4, 0.55)))
        cv2.line(image, (m + side * 6, h // 4), hand, (*coat, 255), 5)
    cv2.ellipse(image, (m, int(h * 0.37)), (9, int(h * 0.2)), 0, 0, 360, (*coat, 255), -1)
    cv2.circle(image, (m, int(h * 0.1)), 6, (*skin, 255), -1)
    cv2.ellipse(image, (m, int(h * 0.08)), (6, 5), 0, 180, 360, (*tone(rng, (60, 44, 36), 0.4), 255), -1)
    return image


def passers_by(rng: np.random.Generator, camera: Camera, heavy: bool = False) -> list[Face]:
    """People, and sometimes a tree or a post, between camera and landmark; if `heavy`, they hide much of the landmark."""
    centre, forward = camera.centre, camera.rotation[2]
    flat = np.array([forward[0], forward[1], 0]) / np.hypot(forward[0], forward[1])
    right = np.cross(flat, [0, 0, 1.0])
    yaw = np.arctan2(-flat[0], flat[1])
    faces = []
    for _ in range(int(rng.integers(5, 9)) if heavy else int(rng.integers(1, 4))):
        ahead = rng.uniform(3.2, 7.5)
        at = centre + flat * ahead + right * ahead * rng.uniform(-0.45, 0.45)
        faces.append(billboard(pedestrian(rng), (at[0], at[1], 0), 0.75, rng.uniform(1.6, 1.9), yaw))
    if heavy or rng.random() < 0.35:
        ahead, side = rng.uniform(4.5, 7), rng.choice([-1, 1])
        at = centre + flat * ahead + right * ahead * side * rng.uniform(0.12 if heavy else 0.3, 0.5)
        tall = rng.uniform(4, 5.5)
        faces.append(billboard(leaves(rng, tall * 0.6, tall, (76, 108, 50)), (at[0], at[1], 0), tall * 0.6, tall, yaw))
    elif rng.random() < 0.5:
        at = centre + flat * 4 + right * rng.uniform(-1.5, 1.5)
        faces += frustum(rng, polygon((at[0], at[1]), 0.07, 6), 0, 4.2, material("planks", (70, 74, 78)))
    return faces
