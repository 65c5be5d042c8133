"""Textures of walls with windows, doors, signs and ivy, and alpha masks for arches, gables and leaves."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from .styles import Color, Style
from .textures import MATERIALS, TEXELS, mural, noise, texels, tint, tone

LETTERS = list("ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789")
Painter = Callable[[np.random.Generator, float, float], np.ndarray]  # from (rng, width, height), metres, to a texture


def plain(style: Style) -> Painter:
    """Painter of a bare wall."""
    return lambda rng, width, height: grounded(MATERIALS[style.material](rng, width, height, style.wall))


def material(name: str, color: Color) -> Painter:
    """Painter of one material in one color."""
    return lambda rng, width, height: MATERIALS[name](rng, width, height, color)


def painting(style: Style) -> Painter:
    """Painter of a framed mural in the accent colors of a style."""

    def paint(rng, width, height):
        image = mural(rng, width, height, style.accents)
        cv2.rectangle(image, (0, 0), (image.shape[1] - 1, image.shape[0] - 1), style.trim, max(2, TEXELS // 9))
        return image

    return paint


def grounded(image: np.ndarray) -> np.ndarray:
    """Darken a wall towards its foot and under its top, where less light from the sky arrives."""
    height = image.shape[0]
    from_foot = np.arange(height)[::-1] / TEXELS
    from_top = np.arange(height) / TEXELS
    factor = (1 - 0.3 * np.exp(-from_foot / 0.5)) * (1 - 0.25 * np.exp(-from_top / 0.18))
    return tint(image, np.broadcast_to(factor[:, None], image.shape[:2]).astype(np.float32))


def frame(image: np.ndarray, box: Sequence[int], color: Color, thick: int) -> None:
    """Paint a raised frame around a box (x0, y0, x1, y1), with a shadow at the bottom and on the right; all in texels."""
    x0, y0, x1, y1 = box
    cv2.rectangle(image, (x0 - thick, y0 - thick), (x1 + thick, y1 + thick), color, -1)
    dark = tuple(int(v * 0.5) for v in color)
    cv2.line(image, (x0 - thick, y1 + thick), (x1 + thick, y1 + thick), dark, 2)
    cv2.line(image, (x1 + thick, y0 - thick), (x1 + thick, y1 + thick), dark, 1)


def window(rng: np.random.Generator, image: np.ndarray, box: Sequence[int], style: Style) -> None:
    """Paint a window into a box: panes with different reflections, and sometimes curtains, shutters or a flower box."""
    x0, y0, x1, y1 = box
    frame(image, box, tone(rng, style.trim, 0.1), int(rng.integers(2, 5)))
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    xs = np.linspace(x0, x1, columns + 1).astype(int)
    ys = np.linspace(y0, y1, rows + 1).astype(int)
    glass = tone(rng, (52, 64, 78), 0.2)
    for i in range(columns):
        for j in range(rows):
            pane = tone(rng, glass, 0.35)
            cv2.rectangle(image, (xs[i] + 1, ys[j] + 1), (xs[i + 1] - 1, ys[j + 1] - 1), pane, -1)
    if rng.random() < 0.45:
        drop = int(y0 + (y1 - y0) * rng.uniform(0.2, 0.7))
        cloth = tone(rng, style.accents[rng.integers(len(style.accents))], 0.3)
        points = np.array([[x0, y0], [x1, y0], [x1, drop], [(x0 + x1) // 2, y0 + 3], [x0, drop]])
        cv2.fillPoly(image, [points], cloth)
    if rng.random() < 0.5:
        shutter = tone(rng, style.accents[rng.integers(len(style.accents))], 0.25)
        wide = max(4, (x1 - x0) // 2 - 2)
        for side in [x0 - wide - 3, x1 + 3][: 1 + int(rng.random() < 0.7)]:
            cv2.rectangle(image, (side, y0 - 1), (side + wide, y1 + 1), shutter, -1)
            for y in range(y0 + 2, y1, int(rng.integers(4, 8))):
                cv2.line(image, (side + 2, y), (side + wide - 2, y), tuple(int(v * 0.6) for v in shutter), 1)
    if rng.random() < 0.4:
        for _ in range(26):
            at = (int(rng.uniform(x0 - 3, x1 + 3)), int(y1 + rng.uniform(-5, 5)))
            cv2.circle(
                image,
                at,
                int(rng.integers(1, 4)),
                tone(rng, [(60, 110, 50), (200, 60, 80)][rng.random() < 0.4], 0.3),
                -1,
            )


def door(rng: np.random.Generator, image: np.ndarray, centre_x: int, style: Style) -> None:
    """Paint an arched door with panels at the foot of a wall."""
    height = image.shape[0]
    tall, wide = int(min(2.4 * TEXELS, height * 0.62)), int(rng.uniform(0.55, 0.85) * TEXELS)
    top = height - tall
    color = tone(rng, style.accents[0], 0.25)
    for grow, shade in [(6, tone(rng, style.trim, 0.1)), (0, color)]:
        cv2.circle(image, (centre_x, top + wide), wide + grow, shade, -1, cv2.LINE_AA)
        cv2.rectangle(image, (centre_x - wide - grow, top + wide), (centre_x + wide + grow, height), shade, -1)
    for i in range(2):
        for j in range(3):
            x, y = centre_x - wide + 4 + i * wide, top + wide + 2 + j * (tall - wide) // 3
            cv2.rectangle(image, (x, y), (x + wide - 8, y + (tall - wide) // 3 - 6), tone(rng, color, 0.3), -1)
    cv2.circle(image, (centre_x + 4, top + wide + (tall - wide) // 2), 3, (215, 190, 90), -1, cv2.LINE_AA)


def sign(rng: np.random.Generator, image: np.ndarray, box: Sequence[int], style: Style, length: int = 7) -> None:
    """Paint a board into a box, filled by random letters."""
    x0, y0, x1, y1 = box
    board = tone(rng, style.accents[rng.integers(len(style.accents))], 0.25)
    frame(image, box, style.trim, 2)
    cv2.rectangle(image, (x0, y0), (x1, y1), board, -1)
    ink = (240, 232, 210) if sum(board) < 380 else (40, 34, 30)
    text = "".join(rng.choice(LETTERS, length))
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
    size = min((x1 - x0 - 6) / wide, (y1 - y0 - 6) / tall)
    cv2.putText(image, text, (x0 + 3, y1 - 4), cv2.FONT_HERSHEY_DUPLEX, size, ink, 2 if size > 0.6 else 1, cv2.LINE_AA)


def ivy(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Paint clusters of leaves that climb from the foot of a wall."""
    height, width = image.shape[:2]
    for _ in range(count):
        x, y = rng.uniform(0, width), float(height)
        for _ in range(int(rng.integers(60, 220))):
            x, y = x + rng.normal(0, 6), y - rng.uniform(-2.2, 3.2)
            at = (int(x + rng.normal(0, 5)), int(y + rng.normal(0, 5)))
            cv2.circle(image, at, int(rng.integers(2, 5)), tone(rng, (66, 98, 42), 0.3), -1)


def posters(rng: np.random.Generator, image: np.ndarray, count: int, style: Style) -> None:
    """Paint small pictures and boards at random places."""
    height, width = image.shape[:2]
    for _ in range(count):
        wide, tall = (min(texels(rng.uniform(0.5, 1.1)), side // 2) for side in (width, height))
        x, y = int(rng.uniform(2, width - wide - 2)), int(rng.uniform(0.25, 1) * (height - tall - 4))
        if rng.random() < 0.5:
            sign(rng, image, (x, y, x + wide, y + max(12, tall // 2)), style, 4)
        else:
            image[y : y + tall, x : x + wide] = mural(rng, wide / TEXELS, tall / TEXELS, style.accents)[:tall, :wide]


def facade(style: Style, doors: int = 0, named: bool = False, windows: float = 0.75, climbers: int = 1) -> Painter:
    """Painter of a wall.

    Args:
        style: material and colors.
        doors: number of doors.
        named: with a name under the top.
        windows: share of the places for windows that have one.
        climbers: largest number of clusters of ivy.
    """

    def paint(rng, width, height):
        image = MATERIALS[style.material](rng, width, height, style.wall)
        w = image.shape[1]
        top, foot = 0.55 + 0.55 * named, 0.7
        rows = int((height - top - foot) / 1.55)
        columns = int((width - 0.3) / 1.5)
        for j in range(rows):
            for i in range(columns):
                if rng.random() > windows:
                    continue
                wide, tall = rng.uniform(0.5, 0.85), rng.uniform(0.8, 1.2)
                x = (i + 0.5) * width / columns - wide / 2 + rng.uniform(-0.12, 0.12)
                y = top + j * (height - top - foot) / rows + rng.uniform(0.05, 0.3)
                box = tuple(int(v * TEXELS) for v in (x, y, x + wide, y + tall))
                window(rng, image, box, style)
        posters(rng, image, int(width * height / 22), style)
        image = grounded(image)
        for i in range(doors):
            door(rng, image, int(w * (i + 1) / (doors + 1) + rng.uniform(-0.2, 0.2) * TEXELS), style)
        if named:
            edge = int(w * rng.uniform(0.1, 0.2))
            sign(rng, image, (edge, int(0.3 * TEXELS), w - edge, int(0.95 * TEXELS)), style, int(width * 1.3) + 2)
        cornice(rng, image, style)
        ivy(rng, image, int(rng.integers(0, climbers + 1)))
        return image

    return paint


def cornice(rng: np.random.Generator, image: np.ndarray, style: Style) -> None:
    """Paint a moulding of uneven blocks along the top of a wall."""
    width = image.shape[1]
    image[: int(0.2 * TEXELS)] = style.trim
    x = 0
    while x < width:
        step = int(rng.uniform(0.15, 0.5) * TEXELS)
        cv2.rectangle(image, (x, 2), (x + step - 2, int(0.16 * TEXELS)), tone(rng, style.trim, 0.16), -1)
        x += step
    image[int(0.2 * TEXELS) : int(0.24 * TEXELS)] //= 2


def clock(rng: np.random.Generator, image: np.ndarray, centre: tuple[int, int], radius: int) -> None:
    """Paint a clock that shows a random time; centre and radius are in texels."""
    cv2.circle(image, centre, radius + 3, (60, 50, 40), -1, cv2.LINE_AA)
    cv2.circle(image, centre, radius, (238, 232, 215), -1, cv2.LINE_AA)
    for angle in np.arange(12) * np.pi / 6:
        ray = np.array([np.sin(angle), -np.cos(angle)])
        a, b = (np.asarray(centre) + ray * radius * s for s in (0.78, 0.93))
        cv2.line(image, tuple(a.astype(int)), tuple(b.astype(int)), (40, 30, 30), 2, cv2.LINE_AA)
    for reach, angle in zip((0.5, 0.75), rng.uniform(0, 2 * np.pi, 2), strict=True):
        tip = np.asarray(centre) + radius * reach * np.array([np.sin(angle), -np.cos(angle)])
        cv2.line(image, centre, tuple(tip.astype(int)), (30, 24, 24), 3, cv2.LINE_AA)


def masked(image: np.ndarray, polygons: Sequence[np.ndarray | list]) -> np.ndarray:
    """A texture with holes outside some polygons.

    Args:
        image: uint8 [h, w, 3].
        polygons: float [n, 2] each, as fractions of width and height.

    Returns:
        uint8 [h, w, 4], RGBA.
    """
    height, width = image.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        points = np.round(np.asarray(polygon) * [width, height] * 16 - 8).astype(np.int32)
        cv2.fillPoly(alpha, [points], 255, shift=4)
    return np.dstack([image, alpha])


def leaves(rng: np.random.Generator, width: float, height: float, color: Color) -> np.ndarray:
    """A tree, a crown of leaves on a trunk, uint8 [h, w, 4] RGBA; sizes in metres."""
    h, w = texels(height), texels(width)
    y, x = np.mgrid[0:h, 0:w]
    crown = 1 - ((x / w - 0.5) / 0.42) ** 2 - ((y / h - 0.38) / 0.36) ** 2
    alpha = ((crown + 0.28 * noise(rng, h, w, 0.5 * TEXELS, 4)) > 0.12).astype(np.uint8) * 255
    image = np.empty((h, w, 3), np.uint8)
    image[:] = np.asarray(color) * 0.6
    for _ in range(int(width * height * 60)):
        at = (int(rng.uniform(0, w)), int(rng.uniform(0, h * 0.8)))
        cv2.circle(image, at, int(rng.integers(2, 6)), tone(rng, color, 0.3), -1)
    image = tint(image, np.broadcast_to((1.15 - 0.5 * y / h), (h, w)).astype(np.float32))
    trunk = (np.abs(x / w - 0.5) < 0.045) & (y > 0.6 * h) & (alpha == 0)
    image[trunk] = (image[trunk] * 0.2 + np.array([74, 56, 40]) * 0.8).astype(np.uint8)
    return np.dstack([image, np.maximum(alpha, trunk * np.uint8(255))])
