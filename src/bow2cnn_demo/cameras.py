"""Where the photos of a landmark are taken from, and under which circumstances."""

from dataclasses import dataclass

import numpy as np

from .geometry import Camera, look_at
from .light import Light
from .scene import Scene


@dataclass(frozen=True)
class Shot:
    """One photo to take: the camera, its azimuth (degrees, 0 is south of the landmark, positive east), the light and
    the circumstances; `scale` is how large the landmark appears, 1 being well-filling.
    """

    camera: Camera
    azimuth: float
    scale: float
    light: Light
    night: bool = False
    occluded: bool = False
    heavy: bool = False
    place: int = 0
    query: bool = False


def daylight(rng) -> Light:
    """A sun somewhere before the landmark, warm when low, with more or fewer clouds."""
    elevation = rng.uniform(0.45, 1.1)
    warm = np.clip((0.75 - elevation) / 0.3, 0, 1)
    sun = rng.uniform(0.62, 0.9) * np.array([1.02, 0.97 - 0.08 * warm, 0.9 - 0.22 * warm])
    dull = rng.uniform(0, 1) ** 2
    zenith = np.array([0.22, 0.44, 0.78]) * (1 - 0.5 * dull) + np.array([0.62, 0.66, 0.7]) * 0.5 * dull
    return Light(
        azimuth=rng.uniform(-1.1, 1.1),
        elevation=elevation,
        sun=tuple(sun * (1 - 0.6 * dull)),
        ambient=tuple(np.array([0.46, 0.48, 0.52]) * (1 + 0.35 * dull)),
        zenith=tuple(zenith),
        horizon=tuple(np.array([0.80, 0.86, 0.92]) - np.array([-0.05, 0.02, 0.12]) * warm),
        cover=rng.uniform(0.35, 0.75),
        clouds=tuple(rng.uniform(0, 1, 2)),
    )


def floodlight(rng) -> Light:
    """Night: lamps in front of the landmark under a dark sky."""
    return Light(
        azimuth=rng.uniform(-0.9, 0.9),
        elevation=rng.uniform(0.25, 0.5),
        sun=tuple(np.array([0.85, 0.68, 0.42]) * rng.uniform(0.75, 1.0)),
        ambient=(0.15, 0.17, 0.25),
        zenith=(0.02, 0.03, 0.09),
        horizon=(0.1, 0.11, 0.2),
        cover=rng.uniform(0.2, 0.5),
        clouds=tuple(rng.uniform(0, 1, 2)),
        haze=600.0,
    )


def place_camera(rng, scene: Scene, azimuth: float, scale: float, size: tuple[int, int]) -> Camera:
    """A camera at an azimuth (degrees) that shows the landmark at a scale, in a photo of size (width, height) px.

    The 35 mm equivalent of the focal length is a whole number, because EXIF stores it so.
    """
    equivalent = int(rng.integers(26, 36))
    focal = equivalent * max(size) / 36
    landscape = 30 * max(size) / 36
    distance = scene.distance / scale * (focal / landscape)
    distance = max(distance, 0.62 * scene.distance)
    angle = np.radians(azimuth)
    height = rng.uniform(1.6, 3.0) if rng.random() < 0.75 else rng.uniform(3.0, 5.5)
    centre = [distance * np.sin(angle), -distance * np.cos(angle), height]
    aside = rng.uniform(-0.05, 0.05) * distance
    target = [aside * np.cos(angle), aside * np.sin(angle), scene.height * rng.uniform(0.4, 0.5)]
    return look_at(centre, target, focal, *size, roll=np.radians(rng.normal(0, 1.5)))


def collection_shots(rng, scene: Scene, count: int, size: tuple[int, int]) -> list[Shot]:
    """An arc of overlapping views, -40 to 40 degrees; about a quarter occluded, a few at night, a few upright."""
    shots = []
    nights = rng.random(count) < 0.06
    for i in range(count):
        azimuth = -40 + 80 * i / (count - 1) + rng.uniform(-1.5, 1.5)
        scale = float(np.clip(np.exp(rng.normal(0, 0.2)), 0.65, 1.45))
        upright = rng.random() < 0.1
        camera = place_camera(rng, scene, azimuth, scale, size[::-1] if upright else size)
        light = floodlight(rng) if nights[i] else daylight(rng)
        shots.append(Shot(camera, azimuth, scale, light, bool(nights[i]), bool(rng.random() < 0.25), place=i))
    return shots


def benchmark_shots(rng, scene: Scene, count: int, queries: int, size: tuple[int, int]) -> list[Shot]:
    """Queries from the front by day first, then easy views near them, then hard ones: side, night, far, occluded."""
    shots = []
    hard = ("side", "night", "far", "hidden")
    easy = (count - queries) // 2
    for i in range(count):
        change = hard[(i - queries - easy) % 4] if i >= queries + easy else None
        azimuth = rng.uniform(-9, 9) if i < queries else rng.uniform(-18, 18)
        if change == "side":
            azimuth = rng.choice([-1, 1]) * rng.uniform(47, 60)
        scale = 0.45 if change == "far" else float(np.clip(np.exp(rng.normal(0, 0.1)), 0.85, 1.2))
        camera = place_camera(rng, scene, azimuth, scale, size)
        light = floodlight(rng) if change == "night" else daylight(rng)
        hidden = change == "hidden"
        shots.append(Shot(camera, azimuth, scale, light, change == "night", hidden, hidden, i, i < queries))
    return shots


def is_hard(query: Shot, shot: Shot) -> bool:
    """Whether a benchmark view differs much from a query: more than 35 degrees, night, scale, or hidden in part."""
    ratio = shot.scale / query.scale
    turned = abs(shot.azimuth - query.azimuth) > 35
    return turned or shot.night or shot.heavy or not 0.6 < ratio < 1 / 0.6
