"""Materials: each function paints a new texture, uint8 [h, w, 3] RGB, from a random generator.

Sizes are in metres, with TEXELS texels per metre. Materials are built of pieces of random size and tone and then weathered, so that no two
places of a surface look the same, as structure from motion requires.
"""

import cv2
import numpy as np

from .styles import Color

TEXELS = 42  # per metre


def texels(metres: float) -> int:
    """A length in texels, at least 4."""
    return max(4, round(metres * TEXELS))


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise, float32 [height, width], with about zero mean and unit variance; `cell` is its coarsest grain in texels."""
    total = np.zeros((height, width), np.float32)
    weight, power = 1.0, 0.0
    for _ in range(octaves):
        grid = rng.standard_normal((int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
        size = (max(width, int(grid.shape[1] * cell)), max(height, int(grid.shape[0] * cell)))
        total += weight * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        power += weight**2
        weight, cell = weight * 0.6, max(cell / 2.3, 1.0)
    return total / np.sqrt(power)


def tone(rng: np.random.Generator, color: Color | np.ndarray, spread: float) -> Color:
    """A color made lighter or darker at random, with a slight change of hue."""
    factor = np.exp(rng.normal(0, spread)) * (1 + rng.normal(0, spread / 5, 3))
    return tuple(int(v) for v in np.clip(np.asarray(color) * factor, 6, 250))


def tint(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Multiply a texture by a factor, float [h, w] or [h, w, 3]."""
    factor = factor if factor.ndim == 3 else factor[:, :, None]
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def weather(rng: np.random.Generator, image: np.ndarray, strength: float = 0.13) -> np.ndarray:
    """Add stains, streaks that run down, and fine grain, which make each part of a surface unique."""
    height, width = image.shape[:2]
    stains = noise(rng, height, width, 0.9 * TEXELS, 4)
    streaks = cv2.resize(noise(rng, max(4, height // 12), width, 7, 2), (width, height))
    grain = rng.standard_normal((height, width)).astype(np.float32)
    return tint(image, np.exp(strength * stains + 0.5 * strength * streaks + 0.035 * grain))


def courses(rng: np.random.Generator, width: float, height: float, color: Color, course: float, joint: int, spread: float) -> np.ndarray:
    """Rows of stones or bricks with random lengths and tones, and darker joints between them.

    Args:
        rng: random numbers.
        width, height: of the texture, metres.
        color: mean color.
        course: mean height of a row, metres.
        joint: width of the joints, texels.
        spread: variation of the tones.
    """
    h, w = texels(height), texels(width)
    image = np.empty((h, w, 3), np.uint8)
    image[:] = np.asarray(color) * 0.55
    y = -int(rng.uniform(0, course) * TEXELS)
    while y < h:
        row = max(3, int(course * TEXELS * rng.uniform(0.75, 1.25)))
        x = -int(rng.uniform(0, 2 * course) * TEXELS)
        while x < w:
            length = max(4, int(course * TEXELS * rng.uniform(1.0, 3.0)))
            corner = (x + length - 1 - joint, y + row - 1 - joint)
            shade = tone(rng, color, spread)
            cv2.rectangle(image, (x, y), corner, shade, -1)
            light = tuple(min(255, int(v * 1.13)) for v in shade)
            cv2.line(image, (x, y), (corner[0], y), light, 1)
            x += length
        y += row
    return image


def stone(rng: np.random.Generator, width: float, height: float, color: Color) -> np.ndarray:
    """Blocks of stone."""
    return weather(rng, courses(rng, width, height, color, rng.uniform(0.36, 0.55), 1, 0.2))


def brick(rng: np.random.Generator, width: float, height: float, color: Color) -> np.ndarray:
    """Small bricks with strongly varied tones."""
    return weather(rng, courses(rng, width, height, color, 0.2, 1, 0.24))


def cracks(rng: np.random.Generator, image: np.ndarray, count: int) -> np.ndarray:
    """Thin dark random walks."""
    height, width = image.shape[:2]
    for _ in range(count):
        steps = rng.normal([0, 0.16 * TEXELS], 0.13 * TEXELS, (rng.integers(5, 16), 2))
        line = np.cumsum(steps, axis=0) + rng.uniform(0, 1, 2) * [width, height]
        cv2.polylines(image, [line.astype(np.int32)], False, tone(rng, image.mean((0, 1)) * 0.5, 0.1), 1, cv2.LINE_AA)
    return image


def plaster(rng: np.random.Generator, width: float, height: float, color: Color) -> np.ndarray:
    """Painted plaster with patches where the bricks show."""
    h, w = texels(height), texels(width)
    image = np.empty((h, w, 3), np.uint8)
    image[:] = color
    image = tint(image, np.exp(0.07 * noise(rng, h, w, 0.35 * TEXELS, 3)))
    bare = noise(rng, h, w, 1.1 * TEXELS, 4) > 1.25
    edge = cv2.dilate(bare.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    image[edge] = image[edge] * 0.6
    image[bare] = courses(rng, width, height, (150, 95, 75), 0.2, 1, 0.22)[:h, :w][bare]
    return weather(rng, cracks(rng, image, int(width * height / 4) + 1), 0.1)


def planks(rng: np.random.Generator, width: float, height: float, color: Color) -> np.ndarray:
    """Upright boards with knots."""
    h, w = texels(height), texels(width)
    image = np.empty((h, w, 3), np.uint8)
    x = 0
    while x < w:
        board = int(rng.uniform(0.14, 0.34) * TEXELS)
        cut = int(rng.uniform(0.2, 0.9) * h)
        image[:cut, x : x + board] = tone(rng, color, 0.2)
        image[cut:, x : x + board] = tone(rng, color, 0.2)
        image[:, x : x + 1] = np.asarray(color) * 0.4
        image[cut : cut + 1, x : x + board] = np.asarray(color) * 0.4
        x += board
    for _ in range(int(width * height * 1.5)):
        centre = tuple(int(v) for v in rng.uniform(0, 1, 2) * [w, h])
        axes = (int(rng.integers(1, 4)), int(rng.integers(2, 8)))
        cv2.ellipse(image, centre, axes, 0, 0, 360, tone(rng, np.asarray(color) * 0.5, 0.2), -1, cv2.LINE_AA)
    return weather(rng, image)


def shingles(rng: np.random.Generator, width: float, height: float, color: Color) -> np.ndarray:
    """Roof tiles in rows, some replaced by newer ones, with moss."""
    h, w = texels(height), texels(width)
    image = np.empty((h, w, 3), np.uint8)
    image[:] = np.asarray(color) * 0.5
    row, size = int(0.3 * TEXELS), int(0.34 * TEXELS)
    for y in range(h // row * row, -row, -row):
        for x in range(-int(rng.integers(0, size)), w, size):
            shade = tone(rng, color, 0.3 if rng.random() < 0.2 else 0.13)
            cv2.rectangle(image, (x, y), (x + size - 2, y + row - 3), shade, -1)
            cv2.circle(image, (x + size // 2 - 1, y + row - 4), size // 2 - 1, shade, -1)
    moss = noise(rng, h, w, 0.8 * TEXELS, 4) > 1.2
    image[moss] = image[moss] * 0.4 + np.array([60, 75, 35]) * 0.6
    return weather(rng, image)


MATERIALS = {"stone": stone, "brick": brick, "plaster": plaster, "planks": planks, "shingles": shingles}


def mural(rng: np.random.Generator, width: float, height: float, palette: list[Color]) -> np.ndarray:
    """A painting: patches of flat color from thresholded noise, with outlines, discs and strokes."""
    h, w = texels(height), texels(width)
    bands = np.digitize(noise(rng, h, w, min(h, w) / 3.2, 3), np.sort(rng.normal(0, 0.9, 5)))
    colors = np.array([tone(rng, palette[rng.integers(len(palette))], 0.18) for _ in range(6)], np.uint8)
    image = colors[bands]
    edges = cv2.morphologyEx(bands.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    image[edges] = image[edges] * 0.5
    for _ in range(int(6 + width * height * 0.7)):
        shade = tone(rng, palette[rng.integers(len(palette))], 0.25)
        centre = rng.uniform(0, 1, 2) * [w, h]
        size = rng.uniform(0.08, 0.4) * TEXELS
        if rng.random() < 0.4:
            cv2.circle(image, tuple(centre.astype(int)), int(size), shade, -1, cv2.LINE_AA)
            continue
        points = (centre + rng.normal(0, size * 1.5, (rng.integers(3, 6), 2))).astype(np.int32)
        if rng.random() < 0.5:
            cv2.fillPoly(image, [points], shade, cv2.LINE_AA)
        else:
            cv2.polylines(image, [points], False, shade, int(rng.integers(2, 6)), cv2.LINE_AA)
    return image
