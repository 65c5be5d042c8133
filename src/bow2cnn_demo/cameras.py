"""Viewpoints and conditions of the photos of a landmark."""

from dataclasses import dataclass

import numpy as np

from .geometry import Camera, look_at
from .light import Light
from .scene import Scene


@dataclass(frozen=True)
class Shot:
    """A photo that is to be taken.

    Attributes:
        camera: the camera.
        azimuth: of the camera seen from the landmark, degrees; 0 is south, positive is east.
        scale: size of the landmark in the photo; 1 fills it well.
        light: the light.
        night: taken at night.
        occluded: people or things stand before the landmark.
        heavy: they hide a large part of it.
        place: number of the viewpoint.
        query: the photo is a query of the benchmark.
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


def daylight(rng: np.random.Generator) -> Light:
    """Daylight: the sun is on the front side of the landmark, warm when it is low, with more or fewer clouds."""
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


def floodlight(rng: np.random.Generator) -> Light:
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


def place_camera(rng: np.random.Generator, scene: Scene, azimuth: float, scale: float, size: tuple[int, int]) -> Camera:
    """A camera that shows a landmark.

    The 35 mm equivalent of the focal length is an integer, as in EXIF.

    Args:
        rng: random numbers.
        scene: the landmark.
        azimuth, scale: see `Shot`.
        size: (width, height) of the photo, pixels.
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


def collection_shots(rng: np.random.Generator, scene: Scene, count: int, size: tuple[int, int]) -> list[Shot]:
    """Overlapping views on an arc from -40 to 40 degrees. About a quarter are occluded, a few are at night, a few in portrait format.

    Args:
        rng: random numbers.
        scene: the landmark.
        count: number of views.
        size: (width, height) of the photos in landscape format, pixels.
    """
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


def benchmark_shots(rng: np.random.Generator, scene: Scene, count: int, queries: int, size: tuple[int, int]) -> list[Shot]:
    """Views for a benchmark: first queries from the front by day, then easy views near them, then hard ones (from the side, at night, from
    far away, occluded).

    Args:
        rng: random numbers.
        scene: the landmark.
        count: number of views, with the queries.
        queries: number of queries.
        size: (width, height) of the photos, pixels.
    """
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
    """Whether a view differs much from a query: by more than 35 degrees, by night, by scale, or because the landmark is partly hidden."""
    ratio = shot.scale / query.scale
    turned = abs(shot.azimuth - query.azimuth) > 35
    return turned or shot.night or shot.heavy or not 0.6 < ratio < 1 / 0.6
