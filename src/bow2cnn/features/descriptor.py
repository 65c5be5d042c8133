"""SIFT descriptors pooled over the size of their domain (Dong and Soatto, Domain-size pooling in local descriptors, CVPR 2015).

The size of a feature in another photo is known to about a third only. So the histograms of gradients (Lowe, IJCV 2004, section 6) are
computed for patches of several sizes around the size that was found, and averaged. The average changes less with the size than the
histogram of one patch, and matches more often.

A patch is sampled from a pyramid of Gaussian levels: from the level whose blur fits the size of the patch. The sampling grid moves and
turns with the feature. It has three samples along each side of the 4 x 4 cells, because the blur leaves no finer detail to see.
"""

from typing import Any

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

SIZES = (0.7, 1.0, 1.4)  # sizes of the patches, as factors of the feature's size
_PER_OCTAVE, _FIRST = 3, 0.8  # levels per octave of the pyramid, and the blur of its first level: sigma in pixels of the photo
_CAMERA = 0.5  # sigma of the blur that every photo has, pixels
_SMALLEST = 16  # smallest side of a level, pixels
_CELLS, _DIRECTIONS = 4, 8
_CELL = 3  # side of a cell in units of the feature's sigma; also its number of samples
_SIDE = (_CELLS + 1) * _CELL  # samples along a patch, with half a cell around it that contributes to the outer cells
_TRUNCATED = 0.2  # largest value, as a fraction of the length: no single gradient (a reflection) rules a descriptor

# NumPy's error model does not test for division by zero, so the loops become vector code.
_compiled: Any = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")


def describe(
    gray: np.ndarray, xy: np.ndarray, sigma: np.ndarray, angle: np.ndarray, sizes: tuple[float, ...] = SIZES
) -> NDArray[np.float32]:
    """Describe features by histograms of gradients.

    Args:
        gray: the photo, uint8 [h, w].
        xy: places, float [N, 2], pixels; the centre of the top left pixel is (0.5, 0.5).
        sigma: sizes, float [N], pixels: the blur at which the feature was found.
        angle: directions, float [N], radians from x towards y.
        sizes: sizes of the patches, as factors of sigma.

    Returns:
        float32 [N, 128], not negative. The 128 values are 4 x 4 cells by rows, with 8 directions each (from the feature's own direction
        on, towards y). They are the mean over the patches of vectors of length 1.
    """
    found = np.empty((len(xy), _CELLS * _CELLS * _DIRECTIONS), np.float32)
    places = np.column_stack([xy, sigma, angle]).astype(np.float64)
    _describe(*_pyramid(gray), places, np.array(sizes, np.float64), *_grid(), found)
    return found


def _pyramid(gray):
    """Gaussian levels of a photo; the first octave has twice its resolution.

    Returns:
        the pixels of all levels one after the other, float32 [P], and (start, height, width) of each level, int64 [levels, 3].
    """
    levels = np.array(_layout(*gray.shape), np.int64)
    pixels = np.empty(levels[-1, 0] + levels[-1, 1] * levels[-1, 2], np.float32)
    previous, blur = cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR).astype(np.float32), 2 * _CAMERA
    for number, (start, height, width) in enumerate(levels.tolist()):
        level = pixels[start : start + height * width].reshape(height, width)
        step = number % _PER_OCTAVE
        wanted = 2 * _FIRST * 2 ** (step / _PER_OCTAVE)  # pixels of the level
        if number and not step:  # a new octave: blurred for its first level, then every second pixel is left out
            doubled = cv2.GaussianBlur(previous, (0, 0), np.sqrt((2 * wanted) ** 2 - blur**2))
            level[:] = doubled[::2, ::2]
        else:
            cv2.GaussianBlur(previous, (0, 0), np.sqrt(wanted**2 - blur**2), dst=level)
        previous, blur = level, wanted
    return pixels, levels


def _layout(height, width):
    """(start, height, width) of every level."""
    levels, start, (height, width) = [], 0, (2 * height, 2 * width)
    while not levels or min(height, width) >= _SMALLEST:
        for _ in range(_PER_OCTAVE):
            levels.append((start, height, width))
            start += height * width
        height, width = (height + 1) // 2, (width + 1) // 2
    return levels


def _grid():
    """The sampling grid of a patch.

    Returns:
        Gaussian weights of the samples, float32 [side, side] (sigma is half the width of the descriptor); along one axis the lower of the
        two cells to which a sample contributes, int64 [side], where cell 0 lies before the patch's first; and the sample's weight for that
        cell (trilinear interpolation), float32 [side].
    """
    offset = (np.arange(_SIDE) + 0.5) / _CELL - (_CELLS + 1) / 2  # cells from the middle
    weight = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * (_CELLS / 2) ** 2))
    cell = np.floor(offset + (_CELLS + 1) / 2)
    return weight.astype(np.float32), cell.astype(np.int64), (1 - (offset + (_CELLS + 1) / 2 - cell)).astype(np.float32)


@_compiled
def _describe(pixels, levels, places, sizes, weight, cell, share, found):
    patch = np.empty((_SIDE + 2, _SIDE + 2), np.float32)
    length, direction = np.empty((_SIDE, _SIDE), np.float32), np.empty((_SIDE, _SIDE), np.float32)
    histogram = np.empty((_CELLS + 2, _CELLS + 2, _DIRECTIONS), np.float32)
    for row in range(len(places)):
        x, y, sigma, angle = places[row]
        found[row] = 0
        for size in sizes:
            number = int(np.rint(np.log2(size * sigma / _FIRST) * _PER_OCTAVE))
            number = min(max(number, 0), len(levels) - 1)
            start, height, width = levels[number]
            level = pixels[start : start + height * width].reshape(height, width)
            # The first octave has two pixels for each of the photo, and its first centre is at 0.25. Every octave halves the resolution.
            smaller = 2.0 / 2 ** (number // _PER_OCTAVE)
            step = smaller * size * sigma
            u, v = (x - 0.25) * smaller, (y - 0.25) * smaller
            _sample(level, u, v, step * np.cos(angle), step * np.sin(angle), patch)
            _gradients(patch, weight, length, direction)
            _pool(length, direction, cell, share, histogram)
            _add_normalised(histogram, found[row])
        found[row] /= len(sizes)


@_compiled
def _sample(level, u, v, cosine, sine, patch):
    """Sample a patch around (u, v) bilinearly; beyond the border of the level, its outermost pixels repeat."""
    middle = np.float32((_SIDE + 1) / 2)
    cosine, sine, zero = np.float32(cosine), np.float32(sine), np.float32(0)
    right, bottom = np.float32(level.shape[1] - 1.001), np.float32(level.shape[0] - 1.001)
    for i in range(_SIDE + 2):
        down = np.float32(i) - middle
        first_x, first_y = np.float32(u) - sine * down - cosine * middle, np.float32(v) + cosine * down - sine * middle
        for j in range(_SIDE + 2):
            x = min(max(first_x + cosine * np.float32(j), zero), right)
            y = min(max(first_y + sine * np.float32(j), zero), bottom)
            column, line = np.int32(x), np.int32(y)
            x, y = x - np.float32(column), y - np.float32(line)
            above = level[line, column] + x * (level[line, column + 1] - level[line, column])
            below = level[line + 1, column] + x * (level[line + 1, column + 1] - level[line + 1, column])
            patch[i, j] = above + y * (below - above)


@_compiled
def _gradients(patch, weight, length, direction):
    """Weighted lengths of the gradients, and their directions in eighths of a turn."""
    for i in range(_SIDE):
        for j in range(_SIDE):
            dx, dy = patch[i + 1, j + 2] - patch[i + 1, j], patch[i + 2, j + 1] - patch[i, j + 1]
            length[i, j] = np.sqrt(dx * dx + dy * dy) * weight[i, j]
            # Within an eighth of a turn 4 / pi atan(t) is t + 0.3476 t (1 - t), to 0.005.
            t = min(abs(dx), abs(dy)) / (max(abs(dx), abs(dy)) + np.float32(1e-12))
            t += np.float32(0.3476) * t * (np.float32(1) - t)
            t = t if abs(dx) >= abs(dy) else np.float32(2) - t
            t = np.float32(4) - t if dx < 0 else t
            direction[i, j] = np.float32(8) - t if dy < 0 else t


@_compiled
def _pool(length, direction, cell, share, histogram):
    """Distribute every gradient to the two nearest directions and the four nearest cells (Lowe's trilinear interpolation)."""
    histogram[:] = 0
    for i in range(_SIDE):
        for j in range(_SIDE):
            whole = np.int32(direction[i, j])
            low, high = whole & (_DIRECTIONS - 1), (whole + 1) & (_DIRECTIONS - 1)
            second = length[i, j] * (direction[i, j] - np.float32(whole))
            first = length[i, j] - second
            both = share[i] * share[j]
            down, right = share[j] - both, share[i] - both  # shares of the cell below and of the cell on the right
            neither = np.float32(1) - both - down - right
            line, column = cell[i], cell[j]
            histogram[line, column, low] += first * both
            histogram[line, column, high] += second * both
            histogram[line, column + 1, low] += first * right
            histogram[line, column + 1, high] += second * right
            histogram[line + 1, column, low] += first * down
            histogram[line + 1, column, high] += second * down
            histogram[line + 1, column + 1, low] += first * neither
            histogram[line + 1, column + 1, high] += second * neither


@_compiled
def _add_normalised(histogram, total):
    """Truncate the histogram, bring it to length 1, and add it to a descriptor."""
    inner = histogram[1:-1, 1:-1]
    largest = np.float32(_TRUNCATED) * np.sqrt(_squares(inner, np.float32(1e30)))
    scale = np.float32(1) / (np.sqrt(_squares(inner, largest)) + np.float32(1e-12))
    place = 0
    for i in range(_CELLS):
        for j in range(_CELLS):
            for k in range(_DIRECTIONS):
                total[place] += min(inner[i, j, k], largest) * scale
                place += 1


@_compiled
def _squares(cells, largest):
    total = np.float32(0)
    for i in range(_CELLS):
        for j in range(_CELLS):
            for k in range(_DIRECTIONS):
                value = min(cells[i, j, k], largest)
                total += value * value
    return total
