"""Spatial verification: tentative matches of two photos to a transform and its inliers, compiled.

Every tentative match of two local affine frames gives a hypothesis of the whole transform by itself, so no sampling is needed: all
of them are scored, and the best is refined by local optimisation (Philbin et al., CVPR 2007, section 4; Chum et al., DAGM 2003).

An inlier agrees with the transform in place, and its two frames in size and direction too (as weak geometric consistency asks of all
matches: Jegou, Douze, Schmid, IJCV 2010, section 5). By chance a match agrees in place far more often than in all three, so unrelated
photos have few inliers also where the vocabulary is small and tentative matches are many. Inliers are one-to-one by spot: features at one
spot of a photo, in several sizes or directions, are one piece of evidence.
"""

import numba
import numpy as np
from numpy.typing import NDArray

MAX_MATCHES = 1000  # tentative matches looked at for one pair; words with many features on both sides are skipped first
_MAX_BURST = 36  # a word with more combinations than this tells little
_LOOSENESS = (2.0, 2.0, 1.5, 1.0)  # within how many tolerances lies what each step of the local optimisation fits to
# How far the frames of an inlier may differ from the transform: perspective and depth change sizes and directions across a photo.
MAX_LOG_SCALE = np.log(2.0)
MAX_ANGLE = np.deg2rad(30.0)
_SPOT = 0.2  # tolerances; features of one photo nearer to each other than this lie at one spot


def pose_change(frame_a: NDArray, frame_b: NDArray) -> tuple[NDArray, NDArray]:
    """Logarithm of the change of size, and turn in radians, from the frames of a to those of b, float64 [k] each.

    Args:
        frame_a, frame_b: float32 [k, 6] affine frames (x, y, a11, a12, a21, a22) of the matched features.
    """
    parts_a, parts_b = (frame[:, 2:].astype(np.float64).T for frame in (frame_a, frame_b))
    area_a, area_b = (np.maximum(np.abs(a * d - b * c), 1e-12) for a, b, c, d in (parts_a, parts_b))
    turn_a, turn_b = (np.arctan2(c - b, a + d) for a, b, c, d in (parts_a, parts_b))
    return 0.5 * np.log(area_b / area_a), turn_b - turn_a


@numba.njit(cache=True, nogil=True)
def hamming(a, b):
    """Number of different bits of two uint64."""
    x = a ^ b
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(cache=True, nogil=True)
def match_words(word_a, signature_a, word_b, signature_b, max_hamming):
    """Tentative matches int32 [m, 2] of two photos: rows with the same word and signatures at most `max_hamming` bits apart.

    The rows of both photos are sorted by word.
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
def verify(frame_a, feature_a, frame_b, match, tolerance):
    """The transform a to b that most tentative matches agree with.

    Args:
        frame_a, frame_b: float32 [N, 6] affine frames (x, y, a11, a12, a21, a22).
        feature_a: int32 [N], which rows of a are of one feature: with soft assignment it has a row for each of its words.
        match: int32 [m, 2] rows.
        tolerance: largest transfer error of an inlier, in pixels of b.

    Returns:
        transform float64 [2, 3], and the rows of `match` that are inliers, one-to-one by feature and by spot.
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
        if not _sane(transform):
            continue
        count = _count(transform, xy_a, xy_b, pose, tolerance * _LOOSENESS[0])
        if count > best_count:
            best_count, best = count, transform
    if best_count == 0:  # no sane hypothesis
        return best, np.empty(0, np.int64)
    inliers = _one_to_one(best, xy_a, xy_b, pose, partners, tolerance)
    for looseness in _LOOSENESS:  # local optimisation
        near = _one_to_one(best, xy_a, xy_b, pose, partners, tolerance * looseness)
        if len(near) < 4:
            break
        transform = _fit(xy_a, xy_b, near)
        if not _sane(transform):
            break
        found = _one_to_one(transform, xy_a, xy_b, pose, partners, tolerance)
        if len(found) >= len(inliers):
            best, inliers = transform, found
    return best, inliers


@numba.njit(cache=True, nogil=True)
def verify_shortlist(word, signature, keypoint, feature, photos, offset, words, signatures, keypoints, size, max_hamming, tolerance):
    """Numbers of inliers int32 [n] and transforms float64 [n, 2, 3] from a query to photos; `tolerance` in longer sides of the photo.

    It stands here because a compiled function that is kept on disk is compiled anew when its own file changes, not one that it calls.
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
def _sane(transform):
    """Whether the linear part keeps orientation and changes scale by a factor of 8 at most, and aspect by 4."""
    a, b, c, d = transform[0, 0], transform[0, 1], transform[1, 0], transform[1, 1]
    determinant = a * d - b * c
    if not (1 / 64 < determinant < 64):
        return False
    trace = a * a + b * b + c * c + d * d
    return trace < (4 + 1 / 4) * determinant  # s1/s2 + s2/s1 = trace / determinant


@numba.njit(cache=True, nogil=True)
def _pose(transform):
    """Logarithm of the change of size, and turn in radians, of a transform's linear part (of the similarity nearest to it)."""
    a, b, c, d = transform[0, 0], transform[0, 1], transform[1, 0], transform[1, 1]
    return 0.5 * np.log(max(abs(a * d - b * c), 1e-12)), np.arctan2(c - b, a + d)


@numba.njit(cache=True, nogil=True)
def _error(transform, scale, angle, xy_a, xy_b, pose):
    """Squared transfer error of a match, infinite where its frames do not agree with the transform's change of size and turn."""
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
    """Inliers, nearest first, no feature and no spot of either photo used twice."""
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
    # A spot of a is as large as what the transform makes a spot of b.
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
    """Whether one of the rows kept lies at the same spot."""
    for other in kept:  # noqa: SIM110 (numba compiles loops)
        if max(abs(xy[row, 0] - xy[other, 0]), abs(xy[row, 1] - xy[other, 1])) < spot:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def _fit(xy_a, xy_b, inliers):
    """Least-squares affine transform of the inliers, from its 3 x 3 normal equations about the mean (float64 [2, 3])."""
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
    if determinant <= 1e-6 * (saa[0, 0] + saa[1, 1]) ** 2:  # inliers on one line fix no affine transform
        transform[:] = np.nan
        return transform
    for r in range(2):
        transform[r, 0] = (sba[r, 0] * saa[1, 1] - sba[r, 1] * saa[1, 0]) / determinant
        transform[r, 1] = (sba[r, 1] * saa[0, 0] - sba[r, 0] * saa[0, 1]) / determinant
        transform[r, 2] = mean_b[r] - transform[r, 0] * mean_a[0] - transform[r, 1] * mean_a[1]
    return transform
