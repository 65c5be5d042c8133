"""Photos without a landmark: buildings that are seen once, look-alikes, walls, drawings, noise."""

import cv2
import numpy as np

from .cameras import collection_shots
from .landmarks import BUILDERS
from .light import photograph
from .photo import develop
from .scene import build_scene, passers_by
from .styles import Style, random_style
from .textures import MATERIALS, TEXELS, mural, noise

KINDS = ("scene", "alike", "wall", "drawing", "alike", "scene", "noise", "wall")


def landmark_style(seed: int, landmark: int) -> Style:
    """The style of a landmark, which look-alikes share."""
    return random_style(np.random.default_rng([seed, landmark]), BUILDERS[landmark % len(BUILDERS)][1])


def scene_photo(rng: np.random.Generator, seed: int, number: int, alike: bool, size: tuple[int, int]) -> np.ndarray:
    """A building that is photographed once; if `alike`, in the materials and colors of a landmark."""
    kind = int(rng.integers(len(BUILDERS)))
    style = landmark_style(seed, int(rng.integers(len(BUILDERS)))) if alike else None
    scene = build_scene([seed, 1_000_000, number], kind, style)
    shots = collection_shots(rng, scene, 9, size)
    shot = shots[rng.integers(len(shots))]
    faces = scene.faces + (passers_by(rng, shot.camera) if shot.occluded else [])
    return develop(rng, photograph(faces, shot.camera, shot.light, scene.clouds, scene.radius), shot.night)


def wall_photo(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """An oblique close view of a wall or a painting."""
    width, height = size
    metres = (width / TEXELS * 1.6, height / TEXELS * 1.6)
    color = tuple(int(v) for v in rng.integers(90, 220, 3))
    if rng.random() < 0.4:
        texture = mural(rng, *metres, [tuple(int(v) for v in c) for c in rng.integers(30, 240, (5, 3))])
    else:
        texture = MATERIALS[("brick", "stone", "planks", "plaster", "shingles")[rng.integers(5)]](rng, *metres, color)
    h, w = texture.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) * 0.8 + np.array([w, h], np.float32) * 0.1
    slanted = corners + rng.uniform(-0.1, 0.1, (4, 2)).astype(np.float32) * [w, h]
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(slanted.astype(np.float32), target)
    return develop(rng, cv2.warpPerspective(texture, turn, size).astype(np.float32) / 255, False)


def drawing(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Lines, discs and letters on paper."""
    width, height = size
    image = np.full((height, width, 3), rng.integers(225, 250), np.uint8)
    for _ in range(int(rng.integers(15, 50))):
        ink = tuple(int(v) for v in rng.integers(0, 160, 3))
        points = (rng.uniform(0, 1, (rng.integers(2, 6), 2)) * size).astype(np.int32)
        choice = rng.integers(4)
        if choice == 0:
            cv2.circle(image, tuple(int(v) for v in points[0]), int(rng.integers(5, 80)), ink, 2, cv2.LINE_AA)
        elif choice == 1:
            letters = "".join(chr(int(c)) for c in rng.integers(65, 91, 6))
            cv2.putText(image, letters, tuple(int(v) for v in points[0]), 0, rng.uniform(0.5, 2), ink, 2, cv2.LINE_AA)
        else:
            cv2.polylines(image, [points], bool(choice == 2), ink, int(rng.integers(1, 4)), cv2.LINE_AA)
    return image


def noise_photo(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A gradient with some noise, like a wall out of focus, a lens cap, or fog."""
    width, height = size
    ends = (rng.uniform(0, 0.9, (2, 1)) + rng.uniform(0, 0.25, (2, 3))).astype(np.float32)
    mix = np.linspace(0, 1, height, dtype=np.float32)[:, None] + 0.1 * noise(rng, height, width, 150, 2)
    mix = mix[:, :, None]
    return develop(rng, ends[0] * (1 - mix) + ends[1] * mix, bool(rng.random() < 0.5))


def distractor(seed: int, number: int, size: tuple[int, int]) -> np.ndarray:
    """Distractor `number` of a collection, uint8 [h, w, 3] RGB; `size` is (width, height) in pixels."""
    rng = np.random.default_rng([seed, 2_000_000, number])
    kind = KINDS[number % len(KINDS)]
    if kind in ("scene", "alike"):
        return scene_photo(rng, seed, number, kind == "alike", size)
    return {"wall": wall_photo, "drawing": drawing, "noise": noise_photo}[kind](rng, size)
