"""The landmarks: each function builds one kind of building at the origin, with its front to the south."""

import numpy as np

from .facades import Painter, clock, facade, material, painting, plain
from .geometry import Face
from .shapes import arch_wall, billboard, box, frustum, gable_roof, polygon
from .styles import Style
from .textures import TEXELS


def clock_wall(style: Style) -> Painter:
    """Painter of a wall with a clock."""

    def paint(rng, width, height):
        image = facade(style, windows=0.0)(rng, width, height)
        clock(rng, image, (image.shape[1] // 2, image.shape[0] // 2), int(0.36 * min(width, height) * TEXELS))
        return image

    return paint


def town_hall(rng: np.random.Generator, s: Style) -> list[Face]:
    """A wide house with a clock tower at one side and a porch."""
    roof = material("shingles", s.roof)
    faces = box(rng, (1, 0), (9, 5, 5.5), 0, [facade(s, 1, True), facade(s)], roof)
    faces += box(rng, (-3.6, -1.2), (3, 3.4, 8.5), 0, [facade(s), facade(s)], roof)
    faces += box(rng, (-3.6, -1.2), (3.3, 3.7, 2.2), 8.5, clock_wall(s))
    faces += frustum(rng, polygon((-3.6, -1.2), 2.6, 4), 10.7, 3, roof, 0.02)
    return faces + box(rng, (1.2, -3.2), (3.2, 1.6, 2.8), 0, [facade(s, 1, windows=0), plain(s)], painting(s))


def church(rng: np.random.Generator, s: Style) -> list[Face]:
    """A nave with a ridge roof, and a steeple."""
    roof = material("shingles", s.roof)
    faces = box(rng, (0.8, 1), (5.5, 8, 4.5), 0, [facade(s, 1), facade(s), plain(s), facade(s)])
    faces += gable_roof(rng, (0.8, 1), (5.5, 8, 3.2), 4.5, roof, plain(s))
    faces += box(rng, (-2.6, -2.6), (2.7, 2.7, 8), 0, facade(s, windows=0.5))
    faces += frustum(rng, polygon((-2.6, -2.6), 2.1, 8), 8, 5, roof, 0.02)
    return faces + box(rng, (3.9, -1.4), (2.2, 2.4, 2.2), 0, painting(s), roof)


def pyramid_temple(rng: np.random.Generator, s: Style) -> list[Face]:
    """Steps that shrink upwards, a stair in front, a small temple on top."""
    faces = []
    for i in range(5):
        faces += box(rng, (0, 1), (11 - 1.9 * i, 11 - 1.9 * i, 1.35), 1.35 * i, plain(s), plain(s))
    for i in range(9):
        riser = painting(s) if i % 2 else plain(s)
        faces += box(rng, (0, -4.95 + 0.47 * i), (2.4, 1.0, 0.72), 0.72 * i, riser, plain(s))
    return faces + box(rng, (0, 1), (2.8, 2.8, 2.3), 6.75, [facade(s, 1, windows=0), painting(s)], plain(s))


def triumphal_arch(rng: np.random.Generator, s: Style) -> list[Face]:
    """A massive arch with reliefs, and an attic with an inscription."""
    faces = arch_wall(rng, (0, 0), (8.5, 3.4, 7), 0, (3.4, 5.6), facade(s, windows=0.35), plain(s))
    faces += box(rng, (0, 0), (9.1, 4, 2.2), 7, [facade(s, 0, True, 0), plain(s)], plain(s))
    for x in (-3.2, 3.2):
        faces += box(rng, (x, -2.05), (1.2, 0.7, 5.2), 0, [painting(s), plain(s)], plain(s))
    return faces + box(rng, (0.3, 0), (3.4, 2, 1.4), 9.2, painting(s), plain(s))


def colonnade(rng: np.random.Generator, s: Style) -> list[Face]:
    """A temple: steps, columns all around, an inner room with murals, a gable."""
    faces = []
    for i in range(3):
        faces += box(rng, (0, 0), (11 - 0.7 * i, 8 - 0.7 * i, 0.4), 0.4 * i, plain(s), plain(s))
    faces += box(rng, (0, 0.6), (6.4, 4, 4.2), 1.2, [facade(s, 1, windows=0), painting(s)])
    for x in np.linspace(-4.2, 4.2, 6):
        faces += frustum(rng, polygon((x, -2.9), 0.45, 8), 1.2, 4.2, plain(s), 0.85)
    for y in (-1, 0.9, 2.8):
        for x in (-4.2, 4.2):
            faces += frustum(rng, polygon((x, y), 0.45, 8), 1.2, 4.2, plain(s), 0.85)
    faces += box(rng, (0, 0), (9.8, 7, 1.1), 5.4, [facade(s, 0, True, 0), plain(s)])
    return faces + gable_roof(rng, (0, 0), (9.8, 7, 2.2), 6.5, material("shingles", s.roof), painting(s))


def obelisk(rng: np.random.Generator, s: Style) -> list[Face]:
    """A tapering needle with carved signs on a stepped plinth, between four blocks."""
    faces = box(rng, (0, 0), (6.5, 6.5, 0.7), 0, plain(s), plain(s))
    faces += box(rng, (0, 0), (4.4, 4.4, 1.3), 0.7, [facade(s, 0, True, 0), plain(s)], plain(s))
    faces += box(rng, (0, 0), (2.9, 2.9, 1.8), 2, painting(s), plain(s))
    faces += frustum(rng, polygon((0, 0), 1.45, 4), 3.8, 8, facade(s, windows=0.6), 0.62)
    faces += frustum(rng, polygon((0, 0), 0.9, 4), 11.8, 1.2, material("shingles", s.roof), 0.02)
    for x, y in [(-4.4, -3.2), (4.2, -3.6), (-4.6, 3), (4.4, 3.2)]:
        faces += box(rng, (x, y), (1.5, 1.5, rng.uniform(1.5, 3)), 0, painting(s), plain(s), rng.uniform(-0.4, 0.4))
    return faces


def stadium(rng: np.random.Generator, s: Style) -> list[Face]:
    """Rings of arches, one on the other, partly in ruins."""
    faces = []
    for ring, (radius, sides) in enumerate([(6.2, 14), (5.7, 14), (5.2, 14)]):
        base = polygon((0, 2), radius, sides)
        for i in range(sides):
            if ring == 2 and i in (1, 2, 3, 12):
                continue
            p, q = base[i], base[(i + 1) % sides]
            middle, yaw = (p + q) / 2, np.arctan2(*(q - p)[::-1])
            wide = float(np.linalg.norm(q - p))
            faces += box(
                rng,
                middle,
                (wide, 0.8, 2.7),
                2.7 * ring,
                [facade(s, int(ring < 2), windows=0.5), plain(s)],
                plain(s),
                yaw,
            )
    return faces + box(rng, (0, 2), (5, 5, 4), 0, painting(s), plain(s), 0.3)


def colossus(rng: np.random.Generator, s: Style) -> list[Face]:
    """A giant made of blocks, on a plinth."""
    p, m = plain(s), painting(s)
    faces = box(rng, (0, 0), (5, 4.4, 2), 0, [facade(s, 0, True, 0), p], p)
    for x in (-0.95, 0.95):
        faces += box(rng, (x, 0), (1.3, 1.5, 3.2), 2, p, p)
    faces += box(rng, (0, 0), (3.6, 2.2, 3), 5.2, [m, p], p)
    faces += box(rng, (0.1, -0.1), (1.8, 1.8, 1.9), 8.2, [clock_wall(s), m], p, 0.3)
    faces += box(rng, (-2.35, -0.6), (1.0, 2.6, 1.1), 6.6, m, p)
    faces += box(rng, (2.35, 0), (1.0, 1.2, 3.6), 6.4, m, p)
    return faces + box(rng, (2.9, -2.6), (2, 2, 1.5), 0, m, p, 0.5)


def city_gate(rng: np.random.Generator, s: Style) -> list[Face]:
    """Two round towers and a passage between them."""
    roof = material("shingles", s.roof)
    faces = arch_wall(rng, (0, 0), (4.4, 3, 5.6), 0, (2.6, 3.8), facade(s, windows=0.3), plain(s), plain(s))
    for x, tall in ((-3.5, 7), (3.5, 6.2)):
        faces += frustum(rng, polygon((x, 0), 2.2, 10), 0, tall, facade(s, windows=0.6), 0.93)
        faces += frustum(rng, polygon((x, 0), 2.5, 10), tall, 3.4, roof, 0.02)
    faces += box(rng, (0, -1.2), (3.4, 0.5, 1.1), 5.6, [painting(s), plain(s)], plain(s))
    return faces + box(rng, (7.4, 0.6), (3.6, 1.2, 3.2), 0, facade(s, windows=0.2), plain(s))


def lighthouse(rng: np.random.Generator, s: Style) -> list[Face]:
    """A tapering tower with a lantern, and the keeper's house."""
    roof = material("shingles", s.roof)
    faces = frustum(rng, polygon((-0.8, 0.6), 2.4, 8), 0, 8.6, facade(s, windows=0.55), 0.66)
    faces += frustum(rng, polygon((-0.8, 0.6), 2.1, 8), 8.6, 0.6, plain(s), cap=plain(s))
    faces += frustum(rng, polygon((-0.8, 0.6), 1.2, 8), 9.2, 1.6, painting(s))
    faces += frustum(rng, polygon((-0.8, 0.6), 1.7, 8), 10.8, 1.6, roof, 0.02)
    faces += box(rng, (3.2, -0.8), (4, 3.6, 2.8), 0, [facade(s, 1), facade(s)])
    return faces + gable_roof(rng, (3.2, -0.8), (4, 3.6, 1.9), 2.8, roof, plain(s))


def old_row(rng: np.random.Generator, s: Style) -> list[Face]:
    """Narrow gabled houses of different colors and depths, wall to wall."""
    faces, x = [], -6.4
    for i, wide in enumerate((3.0, 3.5, 2.8, 3.6)):
        walls = ("plaster", "brick", "planks", "plaster")[i]
        own = Style(walls, s.accents[i % len(s.accents)], s.trim, s.roof, s.accents)
        middle, setback, tall = x + wide / 2, (0, -1.1, 0.5, -0.6)[i], rng.uniform(4.8, 6.6)
        faces += box(rng, (middle, setback), (wide, 6, tall), 0, [facade(own, 1, i % 2 == 0), facade(own, windows=0.4)])
        roof = material("shingles", (s.roof, s.accents[-1])[i % 2])
        faces += gable_roof(rng, (middle, setback), (wide, 6, 2.2), tall, roof, facade(own, windows=0.7), 0.1)
        x += wide
    return faces


def pagoda(rng: np.random.Generator, s: Style) -> list[Face]:
    """Storeys with wide roofs, each smaller than the one below."""
    faces = box(rng, (0, 0), (9, 9, 0.8), 0, plain(s), plain(s))
    z = 0.8
    for i in range(4):
        wide = 5.6 - 0.95 * i
        faces += box(rng, (0, 0), (wide, wide, 1.7), z, [facade(s, 1 - min(i, 1), windows=0.9), painting(s)])
        eaves = polygon((0, 0), (wide + 1.9) / np.sqrt(2), 4)
        faces += frustum(rng, eaves, z + 1.7, 1.0, material("shingles", s.roof), 0.55)
        z += 2.5
    faces += frustum(rng, polygon((0, 0), 0.5, 6), z, 1.8, painting(s), 0.1)
    return faces + box(rng, (-3.4, -3.4), (1.1, 1.1, 1.9), 0.8, painting(s), plain(s), 0.3)


def castle(rng: np.random.Generator, s: Style) -> list[Face]:
    """A keep with corner turrets and battlements."""
    faces = box(rng, (0, 1), (7, 6, 6.5), 0, [facade(s, 1), facade(s)], plain(s))
    for x in np.arange(-3, 3.1, 1.2):
        faces += box(rng, (x, -1.85), (0.65, 0.5, 0.8), 6.5, plain(s), plain(s))
    for x, y, tall in [(-3.6, -2, 8), (3.6, -2, 9), (-3.6, 4, 8.6), (3.6, 4, 7.6)]:
        faces += frustum(rng, polygon((x, y), 1.4, 8), 0, tall, facade(s, windows=0.4), cap=plain(s))
        faces += frustum(rng, polygon((x, y), 1.65, 8), tall - 0.9, 1.1, painting(s), cap=plain(s))
    banner = painting(s)(rng, 1.5, 2.6)
    return [*faces, billboard(banner, (0.4, -2.06, 3.2), 1.5, 2.6, 0)]


def windmill(rng: np.random.Generator, s: Style) -> list[Face]:
    """A tapering mill with four lattice sails, and a barn."""
    faces = frustum(rng, polygon((0, 0.5), 3.1, 8), 0, 6.8, facade(s, 1, windows=0.6), 0.66)
    faces += frustum(rng, polygon((0, 0.5), 2.4, 8), 6.8, 2, material("shingles", s.roof), 0.25)
    sail = painting(s)(rng, 1.1, 4)
    for i in range(4):
        angle = 0.5 + i * np.pi / 2
        along, side = np.array([np.cos(angle), 0, np.sin(angle)]), np.array([-np.sin(angle), 0, np.cos(angle)])
        tip = np.array([0, -2.7, 7]) + along * 4.8
        faces.append(Face(tip, side * 1.1, -along * 4, sail[:: (-1) ** i], two_sided=True))
    faces += box(rng, (4.6, 0.2), (3.4, 4.6, 2.6), 0, [facade(s, 1, windows=0.3), facade(s)])
    return faces + gable_roof(rng, (4.6, 0.2), (3.4, 4.6, 1.8), 2.6, material("shingles", s.roof), plain(s))


def rotunda(rng: np.random.Generator, s: Style) -> list[Face]:
    """A drum with a dome and a columned porch."""
    faces = frustum(rng, polygon((0, 1), 4.6, 14), 0, 4.6, facade(s, windows=0.8))
    for radius, shrink, z, tall in [(4.8, 0.86, 4.6, 1.4), (4.1, 0.72, 6.0, 1.3), (2.95, 0.45, 7.3, 0.9)]:
        faces += frustum(rng, polygon((0, 1), radius, 14), z, tall, material("shingles", s.roof), shrink)
    faces += frustum(rng, polygon((0, 1), 1.1, 8), 8.2, 1.6, painting(s), 0.9, plain(s))
    for x in (-2.2, -0.8, 0.8, 2.2):
        faces += frustum(rng, polygon((x, -5.2), 0.4, 8), 0, 3.4, plain(s), 0.85)
    faces += box(rng, (0, -4.4), (5.8, 2.6, 0.9), 3.4, [facade(s, 0, True, 0), plain(s)])
    return faces + gable_roof(rng, (0, -4.4), (5.8, 2.6, 1.3), 4.3, material("shingles", s.roof), painting(s))


def gallery(rng: np.random.Generator, s: Style) -> list[Face]:
    """A museum of boxes turned against each other, covered with paintings."""
    faces = box(rng, (0, 0.6), (9.6, 5.4, 3), 0, [facade(s, 1), painting(s)], plain(s), 0.06)
    faces += box(rng, (-1.4, 0.2), (6, 5.2, 2.8), 3, [painting(s), facade(s)], plain(s), -0.22)
    faces += box(rng, (0.9, 0.4), (4.4, 4.2, 2.8), 5.8, [facade(s, 0, True), painting(s)], plain(s), 0.3)
    return faces + box(rng, (3.9, -3.6), (1.6, 1.6, 2.4), 0, painting(s), plain(s), 0.6)


def factory(rng: np.random.Generator, s: Style) -> list[Face]:
    """A hall with a row of ridge roofs, and a chimney."""
    faces = box(rng, (0, 0.5), (9.9, 6, 3.8), 0, [facade(s, 2), facade(s)])
    for x in (-3.3, 0, 3.3):
        faces += gable_roof(rng, (x, 0.5), (3.3, 6, 1.5), 3.8, material("shingles", s.roof), painting(s), 0.05)
    faces += frustum(rng, polygon((3.4, -3.6), 0.95, 8), 0, 10, facade(s, windows=0.25), 0.7)
    faces += box(rng, (-4.2, -3.6), (2.8, 2, 3.1), 0, [facade(s, 0, True, 0.4), plain(s)], plain(s))
    return faces + box(rng, (0.2, -3.4), (1.7, 1.2, 1.4), 0, painting(s), plain(s), -0.4)


def bridge(rng: np.random.Generator, s: Style) -> list[Face]:
    """Two arches side by side, a gatehouse on top of one, statues on the parapet."""
    faces = arch_wall(rng, (-2.9, 0), (5.6, 3, 4.6), 0, (3.6, 3.8), facade(s, windows=0.2), plain(s), plain(s))
    faces += arch_wall(rng, (2.7, 0.3), (5.6, 3, 4.6), 0, (3.2, 3.5), facade(s, windows=0.2), plain(s), plain(s))
    faces += box(rng, (-2.6, 0.2), (3.6, 2.6, 3.4), 4.6, [facade(s, 1, windows=0.8), facade(s)])
    faces += gable_roof(rng, (-2.6, 0.2), (3.6, 2.6, 2), 8, material("shingles", s.roof), painting(s))
    for x in (0.6, 2.6, 4.6):
        faces += box(rng, (x, -0.9), (0.7, 0.6, 0.8), 4.6, plain(s), plain(s))
        faces += box(rng, (x, -0.9), (0.5, 0.5, 1.4), 5.4, painting(s), plain(s), rng.uniform(-0.5, 0.5))
    return faces + box(rng, (0, -1.9), (1.3, 1.2, 3), 0, [painting(s), plain(s)], plain(s))


# Each builder with its wall material. In a full collection, the last ones are in the benchmark alone.
BUILDERS = [
    (town_hall, "plaster"), (church, "stone"), (pyramid_temple, "stone"), (triumphal_arch, "stone"),
    (colonnade, "stone"), (obelisk, "stone"), (stadium, "brick"), (colossus, "stone"), (city_gate, "brick"),
    (lighthouse, "plaster"), (old_row, "plaster"), (pagoda, "planks"), (castle, "stone"), (windmill, "brick"),
    (rotunda, "stone"), (gallery, "plaster"), (factory, "brick"), (bridge, "stone"),
]  # fmt: skip
