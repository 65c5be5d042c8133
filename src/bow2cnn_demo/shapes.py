"""Solids of textured faces: boxes, prisms, roofs, arches. Sizes are in metres, and painters (`facades.Painter`) give the textures.

Base polygons run counterclockwise when seen from above, so that the faces look outwards.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from .facades import Painter, masked, material
from .geometry import Face, Vector


def rectangle(centre: Vector, width: float, depth: float, yaw: float = 0.0) -> np.ndarray:
    """Rectangular base polygon, float [4, 2]; its edges are the front (south), east, north and west. `yaw` is in radians."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, depth / 2]
    return corners @ turn(yaw).T + np.asarray(centre)


def polygon(centre: Vector, radius: float, sides: int) -> np.ndarray:
    """Regular base polygon, float [sides, 2], with an edge at the front."""
    angles = -np.pi / 2 + (np.arange(sides) - 0.5) * 2 * np.pi / sides
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + np.asarray(centre)


def turn(yaw: float) -> np.ndarray:
    """Rotation of the ground plane by an angle in radians, float [2, 2]."""
    return np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])


def frustum(
    rng: np.random.Generator,
    base: np.ndarray,
    z0: float,
    height: float,
    paints: Painter | list[Painter],
    shrink: float = 1.0,
    cap: Painter | None = None,
) -> list[Face]:
    """An upright solid on a base polygon.

    Args:
        rng: random numbers.
        base: float [n, 2].
        z0, height: height of the base above the ground, and height of the solid.
        paints: a painter for all sides, or a list of painters of the sides (the last one paints the other sides too).
        shrink: size of the top, relative to the base.
        cap: painter of the top; None for no top.
    """
    paints = paints if isinstance(paints, list) else [paints]
    centre = base.mean(axis=0)
    top = centre + (base - centre) * shrink
    faces = []
    for i, (p, q) in enumerate(zip(base, np.roll(base, -1, axis=0), strict=True)):
        a, b = top[i], top[(i + 1) % len(base)]
        down = np.append((p + q) / 2 - (a + b) / 2, -height)
        across = np.append(q - p, 0.0)
        texture = paints[min(i, len(paints) - 1)](rng, float(np.linalg.norm(across)), float(np.linalg.norm(down)))
        if shrink < 1:
            inset = (1 - shrink) / 2
            texture = masked(texture, [[[inset, 0], [1 - inset, 0], [1, 1], [0, 1]]])
        faces.append(Face(np.append(p, z0) - down, across, down, texture))
    if cap is not None and shrink > 0.05:
        faces.append(lid(rng, top, z0 + height, cap))
    if z0 > 1.5:
        faces.append(lid(rng, base, z0, material("planks", (104, 82, 62)), up=False))
    return faces


def lid(rng: np.random.Generator, corners: np.ndarray, z: float, paint: Painter, up: bool = True) -> Face:
    """A level face that looks up or down, in the form of a polygon, float [n, 2]."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = high - low
    texture = paint(rng, *size)
    if len(corners) != 4 or not np.isin(corners, [low, high]).all():
        x, y = ((corners - low) / size).T
        texture = masked(texture, [np.stack([x, 1 - y if up else y], axis=1)])
    origin, toward = (high[1], -size[1]) if up else (low[1], size[1])
    return Face(np.array([low[0], origin, z]), np.array([size[0], 0, 0]), np.array([0, toward, 0]), texture)


def box(
    rng: np.random.Generator,
    centre: Vector,
    size: Sequence[float],
    z0: float,
    paints: Painter | list[Painter],
    cap: Painter | None = None,
    yaw: float = 0.0,
) -> list[Face]:
    """A box of size (width, depth, height) at height z0; the painters are those of front, east, back and west. See `frustum`."""
    return frustum(rng, rectangle(centre, size[0], size[1], yaw), z0, size[2], paints, cap=cap)


def gable_roof(
    rng: np.random.Generator,
    centre: Vector,
    size: Sequence[float],
    z0: float,
    roof: Painter,
    gable: Painter,
    over: float = 0.3,
) -> list[Face]:
    """A ridge roof of size (width, depth, height) at height z0. The ridge runs from south to north, the gables face south and north, and
    the roof is wider than the walls by `over` on each side.
    """
    (x, y), (width, depth, height) = centre, size
    half, long = width / 2 + over, depth + 2 * over
    drop = height * half / (width / 2)  # the slope continues beyond the wall, so that there is no gap at the gable
    slope = np.hypot(half, drop)
    faces = []
    for side in (-1, 1):
        # seen from outside, the right end of the west slope is in the south, that of the east slope in the north
        origin, across = np.array([x, y - side * long / 2, z0 + height]), np.array([0, side * long, 0])
        faces.append(Face(origin, across, np.array([side * half, 0, -drop]), roof(rng, long, slope)))
    for side in (-1, 1):
        texture = masked(gable(rng, width, height), [[[0.5, 0], [1, 1], [0, 1]]])
        origin = np.array([x + side * width / 2, y + side * depth / 2, z0 + height])
        faces.append(Face(origin, np.array([-side * width, 0, 0]), np.array([0, 0, -height]), texture))
    return faces


def arch_outline(width: float, height: float, opening: tuple[float, float], steps: int = 10) -> np.ndarray:
    """The outline of an arch in a wall, float [n, 2], metres from the top left corner of the wall, beginning at the foot.

    Args:
        width, height: of the wall.
        opening: (width, height) of the arch.
        steps: number of edges of the round top.
    """
    wide, tall = opening
    angles = np.linspace(0, np.pi, steps + 1)
    middle, radius = width / 2, wide / 2
    spring = height - tall + radius
    arc = np.stack([middle + radius * np.cos(angles), spring - radius * np.sin(angles)], axis=1)
    return np.vstack([[middle + radius, height], arc, [middle - radius, height]])


def arch_wall(
    rng: np.random.Generator,
    centre: Vector,
    size: Sequence[float],
    z0: float,
    opening: tuple[float, float],
    paint: Painter,
    inner: Painter,
    cap: Painter | None = None,
) -> list[Face]:
    """A box with an arched passage of size `opening` (width, height) from front to back, which is painted by `inner`. See `box`."""
    (x, y), (width, depth, height) = centre, size
    solid = box(rng, centre, size, z0, paint, cap)
    hole = arch_outline(width, height, opening)
    cut = [[0, 0], [1, 0], [1, 1], *(hole / [width, height]), [0, 1]]
    for side in (0, 2):
        solid[side] = replace(solid[side], texture=masked(solid[side].texture, [cut]))
    lining = []
    for p, q in pairwise(hole):
        start = np.array([x - width / 2 + p[0], y - depth / 2, z0 + height - p[1]])
        down = np.array([q[0] - p[0], 0, p[1] - q[1]])
        length = float(np.linalg.norm(down))
        lining.append(Face(start, np.array([0, depth, 0]), down, inner(rng, depth, length)))
    return solid + lining


def billboard(texture: np.ndarray, centre: Vector, width: float, height: float, yaw: float) -> Face:
    """An upright face that is visible from both sides. `centre` is (x, y, z) of the middle of its foot; it faces south with yaw 0."""
    across = np.append(turn(yaw) @ [width, 0], 0.0)
    origin = np.asarray(centre, float) - across / 2 + [0, 0, height]
    return Face(origin, across, np.array([0, 0, -height]), texture, two_sided=True)
