"""SIFT descriptors pooled over the size of their domain (Dong and Soatto, Domain-size pooling in local descriptors, CVPR 2015).

What a feature's size is in another photo is known to a third or so only. The histograms of gradients (Lowe, IJCV 2004, section 6) of
patches of some sizes about the one that was found, averaged, change less with it than those of one patch, and match more often.
A patch is read from a pyramid of Gaussian levels, from the level whose blur is that of the patch's size, on a grid that moves and turns
with the feature: three samples along each of the 4 x 4 cells, as fine as the blur leaves something to see, and not at every pixel.
"""

import cv2
import numba
import numpy as np

SIZES = (0.7, 1.0, 1.4)  # of the feature's
_PER_OCTAVE, _FIRST = 3, 0.8  # levels of the pyramid, and the blur of its first one: sigma in pixels of the photo
_CAMERA = 0.5  # sigma of the blur that every photo has
_SMALLEST = 16  # side of a level, pixels
_CELLS, _DIRECTIONS = 4, 8
_CELL = 3  # side of a cell in units of the feature's sigma; here also in samples
_SIDE = (_CELLS + 1) * _CELL  # samples along a patch, with the half cells around it that have a share in the outer ones
_TRUNCATED = 0.2  # of the length, so that no single gradient (a reflection) rules a descriptor

_compiled = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")  # no test for zero in the way of vector code


def describe(gray, xy, sigma, angle, sizes=SIZES):
    """Descriptors of features.

    Args:
        gray: uint8 [h, w].
        xy: float [N, 2], pixels, the centre of the top left one at (0.5, 0.5).
        sigma: float [N], size: the blur at which the feature was found, in pixels.
        angle: float [N], direction in radians from x towards y.
        sizes: of the patches, as factors of sigma.

    Returns:
        float32 [N, 128], not negative: rows of cells, cells, directions (from the feature's own on, towards y); their mean over the
        sizes, each of length 1.
    """
    found = np.empty((len(xy), _CELLS * _CELLS * _DIRECTIONS), np.float32)
    places = np.column_stack([xy, sigma, angle]).astype(np.float64)
    _describe(*_pyramid(gray), places, np.array(sizes, np.float64), *_grid(), found)
    return found


def _pyramid(gray):
    """Gaussian levels of a photo, the first octave at twice its resolution.

    Returns:
        their pixels one after the other, float32, and per level where it starts, its height and its width, int64 [levels, 3].
    """
    levels = np.array(_layout(*gray.shape), np.int64)
    pixels = np.empty(levels[-1, 0] + levels[-1, 1] * levels[-1, 2], np.float32)
    previous, blur = cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR).astype(np.float32), 2 * _CAMERA
    for number, (start, height, width) in enumerate(levels.tolist()):
        level = pixels[start : start + height * width].reshape(height, width)
        step = number % _PER_OCTAVE
        wanted = 2 * _FIRST * 2 ** (step / _PER_OCTAVE)  # pixels of the level
        if number and not step:  # a new octave: what its first level needs, before every second pixel is left out
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
    """Of the samples of a patch: weights float32 [side, side] that fall from the middle on (sigma: half the descriptor's width), and along
    either axis the first of the two cells in which a sample has a share, int64 [side], counted from the one before the patch's first, and
    that share, float32 [side].
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
            # The first octave has two pixels for one, the centre of the first at 0.25; every octave on keeps each second.
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
    """A patch about (u, v), bilinear; the level's margin goes on beyond it."""
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
    """Weighted lengths, and directions in eighths of a turn."""
    for i in range(_SIDE):
        for j in range(_SIDE):
            dx, dy = patch[i + 1, j + 2] - patch[i + 1, j], patch[i + 2, j + 1] - patch[i, j + 1]
            length[i, j] = np.sqrt(dx * dx + dy * dy) * weight[i, j]
            # Within an eighth 4 / pi atan(t) is t + 0.3476 t (1 - t) to 0.005.
            t = min(abs(dx), abs(dy)) / (max(abs(dx), abs(dy)) + np.float32(1e-12))
            t += np.float32(0.3476) * t * (np.float32(1) - t)
            t = t if abs(dx) >= abs(dy) else np.float32(2) - t
            t = np.float32(4) - t if dx < 0 else t
            direction[i, j] = np.float32(8) - t if dy < 0 else t


@_compiled
def _pool(length, direction, cell, share, histogram):
    """Every gradient goes to the two directions and the four cells next to it (Lowe's trilinear interpolation)."""
    histogram[:] = 0
    for i in range(_SIDE):
        for j in range(_SIDE):
            whole = np.int32(direction[i, j])
            low, high = whole & (_DIRECTIONS - 1), (whole + 1) & (_DIRECTIONS - 1)
            second = length[i, j] * (direction[i, j] - np.float32(whole))
            first = length[i, j] - second
            both = share[i] * share[j]
            down, right = share[j] - both, share[i] - both  # of the cell below, and of the one on the right
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
    """Add the cells, truncated and of length 1, to a descriptor."""
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
