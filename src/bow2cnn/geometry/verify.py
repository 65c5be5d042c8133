"""Spatial verification of two photos: from tentative matches to an affine transform and its inliers, compiled.

Each tentative match of two affine frames is a hypothesis of the whole transform, so no sampling is needed. All hypotheses are scored, and
the best is refined by local optimisation (Philbin et al., CVPR 2007, section 4; Chum et al., DAGM 2003).

An inlier agrees with the transform in place, and its frames agree with it in size and direction (weak geometric consistency: Jegou, Douze,
Schmid, IJCV 2010, section 5). By chance, matches agree in place far more often than in all three. So unrelated photos have few inliers,
even where the vocabulary is small and there are many tentative matches. Inliers are one-to-one by spot: features at one spot of a photo,
in several sizes or directions, count as one piece of evidence.
"""

import numba
import numpy as np
from numpy.typing import NDArray

MAX_MATCHES = 1000  # largest number of tentative matches of a pair
_MAX_BURST = 36  # words with more combinations of features than this are skipped: they say little
_LOOSENESS = (2.0, 2.0, 1.5, 1.0)  # matches within this many tolerances are fitted in each step of the local optimisation
# Largest difference between the frames of an inlier and the transform: perspective and depth change sizes and directions across a photo.
MAX_LOG_SCALE = np.log(2.0)
MAX_ANGLE = np.deg2rad(30.0)
_SPOT = 0.2  # tolerances; features of a photo that are nearer to each other than this lie at one spot


def pose_change(frame_a: np.ndarray, frame_b: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change of size and direction of matched features.

    Args:
        frame_a, frame_b: affine frames (x, y, a11, a12, a21, a22) of the matched features, float32 [k, 6].

    Returns:
        logarithm of the ratio of the sizes (b to a), and turn from a to b in radians, float64 [k] each.
    """
    parts_a, parts_b = (frame[:, 2:].astype(np.float64).T for frame in (frame_a, frame_b))
    area_a, area_b = (np.maximum(np.abs(a * d - b * c), 1e-12) for a, b, c, d in (parts_a, parts_b))
    turn_a, turn_b = (np.arctan2(c - b, a + d) for a, b, c, d in (parts_a, parts_b))
    return 0.5 * np.log(area_b / area_a), turn_b - turn_a


@numba.njit(cache=True, nogil=True)
def hamming(a: np.uint64, b: np.uint64) -> np.uint64:
    """Number of bits in which two uint64 differ."""
    x = a ^ b
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(cache=True, nogil=True)
def match_words(
    word_a: np.ndarray, signature_a: np.ndarray, word_b: np.ndarray, signature_b: np.ndarray, max_hamming: int
) -> NDArray[np.int32]:
    """Find the tentative matches of two photos: features with the same word and similar signatures (Hamming embedding: Jegou, Douze,
    Schmid, ECCV 2008).

    Args:
        word_a, word_b: words of the features, sorted, uint32 [N] and [M].
        signature_a, signature_b: their binary signatures, uint64 [N] and [M].
        max_hamming: largest number of bits in which the signatures of a match differ.

    Returns:
        rows of a and of b, int32 [m, 2], at most `MAX_MATCHES`.
    """
    found = np.empty((MAX_MATCHES, 2), np.int32)
    count = 0
    i = j = 0
    while i < len(word_a) and j < len(word_b):
        if word_a[i] < word_b[j]:
            i += 1
        elif word_a[i] > word_b[j]:
            j += 1
        else:
            word = word_a[i]
            i_end, j_end = i, j
            while i_end < len(word_a) and word_a[i_end] == word:
                i_end += 1
            while j_end < len(word_b) and word_b[j_end] == word:
                j_end += 1
            if (i_end - i) * (j_end - j) <= _MAX_BURST:
                for k in range(i, i_end):
                    for n in range(j, j_end):
                        if hamming(signature_a[k], signature_b[n]) <= max_hamming and count < MAX_MATCHES:
                            found[count, 0] = k
                            found[count, 1] = n
                            count += 1
            i, j = i_end, j_end
    return found[:count]


@numba.njit(cache=True, nogil=True)
def verify(
    frame_a: np.ndarray, feature_a: np.ndarray, frame_b: np.ndarray, match: np.ndarray, tolerance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the affine transform from a to b that agrees with most tentative matches.

    Args:
        frame_a, frame_b: affine frames (x, y, a11, a12, a21, a22), float32 [N, 6] and [M, 6], pixels.
        feature_a: number of the feature of each row of a, int32 [N]: with soft assignment a feature has a row for each of its words.
        match: rows of a and of b, int32 [m, 2].
        tolerance: largest transfer error of an inlier, pixels of b.

    Returns:
        the transform, float64 [2, 3] (all zeros where there is none), and the rows of `match` that are inliers, int64 [k], one-to-one by
        feature and by spot.
    """
    m = len(match)
    best = np.zeros((2, 3))
    best_count = 0
    xy_a, xy_b = np.empty((m, 2)), np.empty((m, 2))
    for i in range(m):
        for c in range(2):
            xy_a[i, c] = frame_a[match[i, 0], c]
            xy_b[i, c] = frame_b[match[i, 1], c]
    partners = np.stack((feature_a[match[:, 0]], match[:, 1]), axis=1)
    hypotheses = np.empty((m, 2, 3))
    pose = np.empty((m, 2))
    for i in range(m):
        hypotheses[i] = _from_frames(frame_a[match[i, 0]], frame_b[match[i, 1]])
        pose[i] = _pose(hypotheses[i])
    for i in range(m):
        transform = hypotheses[i]
        if not _is_plausible(transform):
            continue
        count = _count(transform, xy_a, xy_b, pose, tolerance * _LOOSENESS[0])
        if count > best_count:
            best_count, best = count, transform
    if best_count == 0:  # no plausible hypothesis
        return best, np.empty(0, np.int64)
    inliers = _one_to_one(best, xy_a, xy_b, pose, partners, tolerance)
    for looseness in _LOOSENESS:  # local optimisation
        near = _one_to_one(best, xy_a, xy_b, pose, partners, tolerance * looseness)
        if len(near) < 4:
            break
        transform = _fit(xy_a, xy_b, near)
        if not _is_plausible(transform):
            break
        found = _one_to_one(transform, xy_a, xy_b, pose, partners, tolerance)
        if len(found) >= len(inliers):
            best, inliers = transform, found
    return best, inliers


@numba.njit(cache=True, nogil=True)
def verify_shortlist(
    word: np.ndarray,
    signature: np.ndarray,
    keypoint: np.ndarray,
    feature: np.ndarray,
    photos: np.ndarray,
    offset: np.ndarray,
    words: np.ndarray,
    signatures: np.ndarray,
    keypoints: np.ndarray,
    size: np.ndarray,
    max_hamming: int,
    tolerance: float,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Verify a query with several photos of an index.

    This function is in this file because numba compiles a cached function again only when its own file changes, not when the file of a
    function that it calls does.

    Args:
        word, signature, keypoint, feature: rows of the query; see `bow2cnn.index.engine.QuantisedFeatures`.
        photos: photos of the index, int64 [n].
        offset, words, signatures, keypoints: forward file of the index; see `bow2cnn.index.forward`.
        size: (width, height) of all photos, int32 [photos, 2], pixels.
        max_hamming: see `match_words`.
        tolerance: largest transfer error of an inlier, as a fraction of the photo's longer side.

    Returns:
        numbers of inliers, int32 [n], and the transforms from the query to the photos, float64 [n, 2, 3].
    """
    inliers = np.zeros(len(photos), np.int32)
    transforms = np.zeros((len(photos), 2, 3))
    for i in range(len(photos)):
        start, stop = offset[photos[i]], offset[photos[i] + 1]
        match = match_words(word, signature, words[start:stop], signatures[start:stop], max_hamming)
        limit = tolerance * max(size[photos[i], 0], size[photos[i], 1])
        transforms[i], kept = verify(keypoint, feature, keypoints[start:stop], match, limit)
        inliers[i] = len(kept)
    return inliers, transforms


@numba.njit(cache=True, nogil=True)
def _from_frames(a, b):
    determinant = a[2] * a[5] - a[3] * a[4]
    transform = np.empty((2, 3))
    if determinant == 0:
        transform[:] = np.nan
        return transform
    i11, i12, i21, i22 = a[5] / determinant, -a[3] / determinant, -a[4] / determinant, a[2] / determinant
    transform[0, 0] = b[2] * i11 + b[3] * i21
    transform[0, 1] = b[2] * i12 + b[3] * i22
    transform[1, 0] = b[4] * i11 + b[5] * i21
    transform[1, 1] = b[4] * i12 + b[5] * i22
    transform[0, 2] = b[0] - transform[0, 0] * a[0] - transform[0, 1] * a[1]
    transform[1, 2] = b[1] - transform[1, 0] * a[0] - transform[1, 1] * a[1]
    return transform


@numba.njit(cache=True, nogil=True)
def _is_plausible(transform):
    """Whether the linear part keeps the orientation, changes sizes by a factor of at most 8, and the aspect ratio by at most 4."""
    a, b, c, d = transform[0, 0], transform[0, 1], transform[1, 0], transform[1, 1]
    determinant = a * d - b * c
    if not (1 / 64 < determinant < 64):
        return False
    trace = a * a + b * b + c * c + d * d
    return trace < (4 + 1 / 4) * determinant  # s1/s2 + s2/s1 = trace / determinant


@numba.njit(cache=True, nogil=True)
def _pose(transform):
    """Logarithm of the change of size and turn in radians of a transform (of the similarity nearest to its linear part)."""
    a, b, c, d = transform[0, 0], transform[0, 1], transform[1, 0], transform[1, 1]
    return 0.5 * np.log(max(abs(a * d - b * c), 1e-12)), np.arctan2(c - b, a + d)


@numba.njit(cache=True, nogil=True)
def _error(transform, scale, angle, xy_a, xy_b, pose):
    """Squared transfer error of a match; infinite where its change of size and direction does not agree with that of the transform."""
    dx = transform[0, 0] * xy_a[0] + transform[0, 1] * xy_a[1] + transform[0, 2] - xy_b[0]
    dy = transform[1, 0] * xy_a[0] + transform[1, 1] * xy_a[1] + transform[1, 2] - xy_b[1]
    turn = abs(pose[1] - angle)
    if abs(pose[0] - scale) < MAX_LOG_SCALE and min(turn, 2 * np.pi - turn) < MAX_ANGLE:
        return dx * dx + dy * dy
    return np.inf


@numba.njit(cache=True, nogil=True)
def _count(transform, xy_a, xy_b, pose, tolerance):
    count = 0
    limit = tolerance * tolerance
    scale, angle = _pose(transform)
    for i in range(len(xy_a)):
        if _error(transform, scale, angle, xy_a[i], xy_b[i], pose[i]) < limit:
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _one_to_one(transform, xy_a, xy_b, pose, partners, tolerance):
    """Rows of the inliers, sorted. They are chosen by increasing error, and no feature and no spot of a photo is used twice."""
    m = len(partners)
    error = np.empty(m)
    scale, angle = _pose(transform)
    for i in range(m):
        error[i] = _error(transform, scale, angle, xy_a[i], xy_b[i], pose[i])
    order = np.argsort(error)
    kept = np.empty(m, np.int64)
    used_a, used_b = set(), set()
    used_a.add(-1)
    used_b.add(-1)
    count = 0
    spot = _SPOT * tolerance
    # Spots of a have the size that the transform maps to that of spots of b.
    spot_a = spot * np.exp(-scale)
    for i in order:
        if error[i] >= tolerance * tolerance:
            break
        if partners[i, 0] in used_a or partners[i, 1] in used_b:
            continue
        if _occupied(xy_a, i, kept[:count], spot_a) or _occupied(xy_b, i, kept[:count], spot):
            continue
        used_a.add(partners[i, 0])
        used_b.add(partners[i, 1])
        kept[count] = i
        count += 1
    return np.sort(kept[:count])


@numba.njit(cache=True, nogil=True)
def _occupied(xy, row, kept, spot):
    """Whether one of the kept rows lies at the same spot as a row."""
    for other in kept:  # noqa: SIM110 (numba compiles loops)
        if max(abs(xy[row, 0] - xy[other, 0]), abs(xy[row, 1] - xy[other, 1])) < spot:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _fit(xy_a, xy_b, inliers):
    """Least-squares affine transform of the inliers, float64 [2, 3], from normal equations about their means; NaN for collinear ones."""
    n = len(inliers)
    mean_a, mean_b = np.zeros(2), np.zeros(2)
    for i in inliers:
        mean_a += xy_a[i]
        mean_b += xy_b[i]
    mean_a /= n
    mean_b /= n
    saa = np.zeros((2, 2))
    sba = np.zeros((2, 2))
    for i in inliers:
        for r in range(2):
            for c in range(2):
                saa[r, c] += (xy_a[i, r] - mean_a[r]) * (xy_a[i, c] - mean_a[c])
                sba[r, c] += (xy_b[i, r] - mean_b[r]) * (xy_a[i, c] - mean_a[c])
    determinant = saa[0, 0] * saa[1, 1] - saa[0, 1] * saa[1, 0]
    transform = np.empty((2, 3))
    if determinant <= 1e-6 * (saa[0, 0] + saa[1, 1]) ** 2:  # collinear inliers do not determine an affine transform
        transform[:] = np.nan
        return transform
    for r in range(2):
        transform[r, 0] = (sba[r, 0] * saa[1, 1] - sba[r, 1] * saa[1, 0]) / determinant
        transform[r, 1] = (sba[r, 1] * saa[0, 0] - sba[r, 0] * saa[0, 1]) / determinant
        transform[r, 2] = mean_b[r] - transform[r, 0] * mean_a[0] - transform[r, 1] * mean_a[1]
    return transform
