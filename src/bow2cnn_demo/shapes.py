"""Solids of textured faces: boxes, prisms, roofs, arches. Sizes in metres; `paint(rng, width, height)` gives textures.

Base polygons run counterclockwise seen from above, which makes the faces look outwards.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from .facades import masked, material
from .geometry import Face


def rectangle(centre, width: float, depth: float, yaw: float = 0.0) -> np.ndarray:
    """Base polygon (4, 2); its first edge is the front (south), the next ones east, north, west."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, depth / 2]
    return corners @ turn(yaw).T + np.asarray(centre)


def polygon(centre, radius: float, sides: int) -> np.ndarray:
    """Regular base polygon (sides, 2) with an edge to the front."""
    angles = -np.pi / 2 + (np.arange(sides) - 0.5) * 2 * np.pi / sides
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + np.asarray(centre)


def turn(yaw: float) -> np.ndarray:
    """Rotation (2, 2) of the ground plane."""
    return np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])


def frustum(rng, base, z0: float, height: float, paints, shrink: float = 1.0, cap=None) -> list[Face]:
    """Upright solid on a base polygon (n, 2); the top is the base scaled by `shrink` about its centre.

    `paints`: one painter for all sides, or a list with one per edge (the last serves the rest). `cap` paints the top.
    """
    paints = paints if isinstance(paints, list) else [paints]
    centre = base.mean(axis=0)
    top = centre + (base - centre) * shrink
    faces = []
    for i, (p, q) in enumerate(zip(base, np.roll(base, -1, axis=0), strict=True)):
        a, b = top[i], top[(i + 1) % len(base)]
        down = np.append((p + q) / 2 - (a + b) / 2, -height)
        across = np.append(q - p, 0.0)
        texture = paints[min(i, len(paints) - 1)](rng, np.linalg.norm(across), np.linalg.norm(down))
        if shrink < 1:
            inset = (1 - shrink) / 2
            texture = masked(texture, [[[inset, 0], [1 - inset, 0], [1, 1], [0, 1]]])
        faces.append(Face(np.append(p, z0) - down, across, down, texture))
    if cap is not None and shrink > 0.05:
        faces.append(lid(rng, top, z0 + height, cap))
    if z0 > 1.5:
        faces.append(lid(rng, base, z0, material("planks", (104, 82, 62)), up=False))
    return faces


def lid(rng, corners: np.ndarray, z: float, paint, up: bool = True) -> Face:
    """A level face that looks up (or down), cut to a polygon (n, 2)."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = high - low
    texture = paint(rng, *size)
    if len(corners) != 4 or not np.isin(corners, [low, high]).all():
        x, y = ((corners - low) / size).T
        texture = masked(texture, [np.stack([x, 1 - y if up else y], axis=1)])
    origin, toward = (high[1], -size[1]) if up else (low[1], size[1])
    return Face([low[0], origin, z], [size[0], 0, 0], [0, toward, 0], texture)


def box(rng, centre, size, z0: float, paints, cap=None, yaw: float = 0.0) -> list[Face]:
    """A box of size (width, depth, height) standing at height z0; painters run front, east, back, west."""
    return frustum(rng, rectangle(centre, size[0], size[1], yaw), z0, size[2], paints, cap=cap)


def gable_roof(rng, centre, size, z0: float, roof, gable, over: float = 0.3) -> list[Face]:
    """A ridge roof over a (width, depth) rectangle, size[2] high; the ridge runs north, gables face north and south."""
    (x, y), (width, depth, height) = centre, size
    half, long = width / 2 + over, depth + 2 * over
    drop = height * half / (width / 2)  # the slope goes on past the wall, so that the gable meets it without a gap
    slope = np.hypot(half, drop)
    faces = []
    for side in (-1, 1):
        # seen from its outside, the west slope has its right end to the south, the east slope to the north
        origin, across = [x, y - side * long / 2, z0 + height], [0, side * long, 0]
        faces.append(Face(origin, across, [side * half, 0, -drop], roof(rng, long, slope)))
    for side in (-1, 1):
        texture = masked(gable(rng, width, height), [[[0.5, 0], [1, 1], [0, 1]]])
        origin = [x + side * width / 2, y + side * depth / 2, z0 + height]
        faces.append(Face(origin, [-side * width, 0, 0], [0, 0, -height], texture))
    return faces


def arch_outline(width: float, height: float, opening, steps: int = 10) -> np.ndarray:
    """The opening (w, h) of a wall as a polygon (n, 2) in metres from the wall's top left, foot first; round top."""
    wide, tall = opening
    angles = np.linspace(0, np.pi, steps + 1)
    middle, radius = width / 2, wide / 2
    spring = height - tall + radius
    arc = np.stack([middle + radius * np.cos(angles), spring - radius * np.sin(angles)], axis=1)
    return np.vstack([[middle + radius, height], arc, [middle - radius, height]])


def arch_wall(rng, centre, size, z0: float, opening, paint, inner, cap=None) -> list[Face]:
    """A box of size (width, depth, height) with a round-topped passage (w, h) from front to back."""
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
        length = np.linalg.norm(down)
        lining.append(Face(start, [0, depth, 0], down, inner(rng, depth, length)))
    return solid + lining


def billboard(texture, centre, width: float, height: float, yaw: float) -> Face:
    """An upright face at (x, y, z of its foot) seen from both sides; yaw 0 faces south."""
    across = np.append(turn(yaw) @ [width, 0], 0.0)
    origin = np.asarray(centre, float) - across / 2 + [0, 0, height]
    return Face(origin, across, [0, 0, -height], texture, two_sided=True)
