"""Watermarks, logos and name banners: features that recur at the same place of photos that share nothing else.

Photo agencies print the same mark at the same place of every photo. Such features match perfectly and glue unrelated photos
together. They give themselves away statistically: the same visual word at the same place relative to the frame in many photos. Photos of
one object taken from one tripod do that too, so a recurring place is a mark only if most of the photos in which it recurs share
nothing once all recurring features are set aside.
"""

import numba
import numpy as np

from bow2cnn import artefact
from bow2cnn.index.forward import read_words
from bow2cnn.photos import check_photos, photos_of
from bow2cnn.progress import progress
from bow2cnn.retrieval.engine import Words, verify_words
from bow2cnn.reuse import lineage, lineage_of

# Where a mark is printed relative to: the corners and the centre of the frame.
_ANCHORS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]])
_CELL = 1 / 80  # side of a cell as a fraction of the photo's longer side
_REACH = 0.02  # neighbours of a mark's feature within this fraction are masked too: the text beside it differs from photo to photo
_PAIRS_PER_CELL = 12
_SHARING = 6  # verified inliers without the recurring features that make a pair share more than the mark


def find_marks(collection, words, out, max_hamming, min_photos, seed, code=""):
    """Write the `marks` artefact.

    Args:
        collection, words: paths; the words artefacts in the order of the shards.
        max_hamming: as for retrieval.
        min_photos: a place of a word recurs when so many photos have the word there.
        code: digest of the code, part of the lineage.
    """
    check_photos(collection, words)
    made_with = lineage("marks", [lineage_of(path, "words") for path in words], max_hamming, min_photos, seed, code)
    forward = read_words(words)
    photos = artefact.read(collection, "collection", ["width", "height"])
    size = np.stack([photos["width"], photos["height"]], 1)
    marked, masked, counts = mark_features(forward, size, max_hamming, min_photos, seed)
    artefact.write(
        out,
        "marks",
        {"offset": forward["offset"], "masked": masked, "evidence/marked": marked, "evidence/photos": counts, **photos_of(collection)},
        {"min_photos": min_photos, "max_hamming": max_hamming, "seed": seed, "lineage": made_with},
    )


def mark_features(forward, size, max_hamming, min_photos, seed):
    """Find the features of marks.

    Args:
        forward: arrays as `read_words` returns them; size: int [n, 2], width and height.

    Returns:
        marked bool [N] (features of a recurring mark), masked bool [N] (those and their neighbours), and the number of photos of every
        recurring place that was taken for a mark, int32.
    """
    keys, recurring = _recurring(forward, size, min_photos)
    marked = np.zeros(len(forward["word"]), bool)
    sharing = _Sharing(forward, size, recurring.any(0), max_hamming)
    counts = []
    for rows, members in progress(_group(keys, recurring, forward["offset"]), "marks"):
        pairs = _sample_pairs(members, _PAIRS_PER_CELL, seed)
        if np.mean([sharing.share(a, b) for a, b in pairs]) < 0.5:
            marked[rows] = True
            counts.append(len(members))
    return marked, _spread(marked, forward, size), np.array(counts, np.int32)


def _recurring(forward, size, min_photos):
    """Per anchor the key (word, cell) of every feature, int64 [5, N], and whether at least `min_photos` photos share it, bool [5, N]."""
    offset = forward["offset"]
    photo = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    side = size.max(1)[photo][:, None]
    keys = np.empty((len(_ANCHORS), len(photo)), np.int64)
    recurring = np.empty(keys.shape, bool)
    for i, anchor in enumerate(_ANCHORS):
        cell = np.floor((forward["keypoint"][:, :2] - anchor * size[photo]) / side / _CELL).astype(np.int64) + 512
        keys[i] = (forward["word"].astype(np.int64) << 20) | (cell[:, 0] << 10) | cell[:, 1]
        unique, inverse = np.unique(keys[i], return_inverse=True)
        one_per_photo = np.unique(inverse.astype(np.int64) * len(size) + photo) // len(size)
        recurring[i] = np.bincount(one_per_photo, minlength=len(unique))[inverse] >= min_photos
    return keys, recurring


def _group(keys, recurring, offset):
    """(feature rows, photos) of every recurring cell, over all anchors."""
    photo = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    cells = []
    for key, chosen in zip(keys, recurring, strict=True):
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(key[rows], kind="stable")]
        bounds = np.flatnonzero(np.diff(key[rows], prepend=-1, append=-1))
        cells += [(rows[a:b], np.unique(photo[rows[a:b]])) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    return cells


class _Sharing:
    """Whether two photos share something besides recurring features; every pair is verified once."""

    def __init__(self, forward, size, recurring, max_hamming):
        self._forward, self._size, self._recurring, self._max_hamming = forward, size, recurring, max_hamming
        self._words, self._known = {}, {}

    def share(self, a, b):
        if (a, b) not in self._known:
            inliers = verify_words(self._rest(a), self._rest(b), self._max_hamming)[1]
            self._known[a, b] = len(inliers) >= _SHARING
        return self._known[a, b]

    def _rest(self, photo):
        if photo not in self._words:
            start, stop = self._forward["offset"][photo : photo + 2]
            rows = start + np.flatnonzero(~self._recurring[start:stop])
            arrays = (self._forward[name][rows] for name in ("word", "signature", "keypoint", "feature"))
            self._words[photo] = Words(*arrays, tuple(self._size[photo]))
        return self._words[photo]


def _sample_pairs(photos, count, seed):
    """At most `count` different pairs (a < b) of sorted photos; a function of the photos alone, so cells of one set share the work."""
    pairs = [(int(a), int(b)) for i, a in enumerate(photos[:64]) for b in photos[i + 1 : 64]]
    if len(pairs) <= count:
        return pairs
    rng = np.random.default_rng([seed, 3, *map(int, photos[:8])])
    return [pairs[i] for i in np.sort(rng.choice(len(pairs), count, replace=False))]


def _spread(marked, forward, size):
    """Mask the neighbours of marked features, bool [N]."""
    masked = marked.copy()
    offset = forward["offset"]
    for photo in range(len(size)):
        rows = slice(offset[photo], offset[photo + 1])
        if marked[rows].any():
            xy = forward["keypoint"][rows, :2]
            masked[rows] |= _near(xy, xy[marked[rows]], _REACH * size[photo].max())
    return masked


@numba.njit(cache=True, nogil=True)
def _near(xy, targets, reach):
    near = np.zeros(len(xy), np.bool_)
    for i in range(len(xy)):
        for j in range(len(targets)):
            dx, dy = xy[i, 0] - targets[j, 0], xy[i, 1] - targets[j, 1]
            if dx * dx + dy * dy < reach * reach:
                near[i] = True
                break
    return near
