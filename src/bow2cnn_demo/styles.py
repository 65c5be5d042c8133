"""Colors and materials of a landmark."""

from dataclasses import dataclass, field

import numpy as np

Color = tuple[int, ...]  # RGB, 0 to 255


@dataclass(frozen=True)
class Style:
    """The material of a landmark's walls (a key of `MATERIALS`), and the colors of its surfaces."""

    material: str
    wall: Color
    trim: Color
    roof: Color
    accents: list[Color] = field(default_factory=list)


STONES = [(212, 192, 152), (196, 188, 174), (218, 178, 128), (182, 172, 160), (226, 216, 198), (204, 160, 122)]
BRICKS = [(190, 108, 84), (172, 100, 84), (206, 134, 96), (200, 170, 132)]
PAINTS = [(226, 196, 120), (200, 130, 110), (150, 180, 170), (228, 214, 186), (140, 164, 196), (214, 160, 150)]
WOODS = [(158, 116, 78), (140, 84, 62), (176, 148, 108)]
ROOFS = [(160, 72, 54), (90, 96, 110), (70, 110, 96), (130, 96, 70), (110, 60, 66)]
ACCENTS = [
    (178, 48, 44), (40, 84, 140), (226, 176, 60), (54, 112, 78), (240, 230, 210), (96, 60, 110), (224, 122, 48),
    (236, 214, 160), (90, 160, 176), (150, 96, 60),
]  # fmt: skip


def random_style(rng: np.random.Generator, material_name: str) -> Style:
    """Draw matching colors for walls of a material."""
    walls = {"stone": STONES, "brick": BRICKS, "plaster": PAINTS, "planks": WOODS}[material_name]
    wall = np.asarray(walls[rng.integers(len(walls))]) * rng.uniform(0.92, 1.08) * rng.uniform(0.97, 1.03, 3)
    trim = STONES[rng.integers(len(STONES))]
    accents = [ACCENTS[i] for i in rng.permutation(len(ACCENTS))[:5]]
    return Style(material_name, tuple(int(v) for v in wall), trim, ROOFS[rng.integers(len(ROOFS))], accents)
