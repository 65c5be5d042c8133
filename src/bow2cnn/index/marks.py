"""Watermarks, logos and name banners: features that recur at the same place of photos that share nothing else.

Photo agencies print the same mark at the same place of every photo. Such features match perfectly and glue unrelated photos
together. They give themselves away statistically: the same visual word at the same place relative to the frame in many photos. Photos of
one object taken from one tripod do that too, so a recurring place is a mark only if most of the photos in which it recurs share
nothing once all recurring features are set aside.
"""

from functools import lru_cache

import numba
import numpy as np

from bow2cnn import artefact
from bow2cnn.index.forward import ForwardFiles
from bow2cnn.index.recurring import recurring_places
from bow2cnn.photos import check_photos, photos_of
from bow2cnn.progress import progress
from bow2cnn.retrieval.engine import Words, verify_words
from bow2cnn.reuse import lineage, lineage_of

_REACH = 0.02  # neighbours of a mark's feature within this fraction are masked too: the text beside it differs from photo to photo
_PAIRS_PER_PLACE = 12
_SHARING = 6  # verified inliers without the recurring features that make a pair share more than the mark
_RECENT = 4096  # photos whose words stay in memory


def find_marks(collection, words, out, max_hamming, min_photos, seed, code=""):
    """Write the `marks` artefact.

    Args:
        collection, words: paths; the words artefacts in the order of the shards.
        max_hamming: as for retrieval.
        min_photos: see `recurring_places`.
        code: digest of the code, part of the lineage.
    """
    check_photos(collection, words)
    made_with = lineage("marks", [lineage_of(path, "words") for path in words], max_hamming, min_photos, seed, code)
    forward = ForwardFiles(words)
    photos = artefact.read(collection, "collection", ["width", "height"])
    size = np.stack([photos["width"], photos["height"]], 1)
    marked, masked, counts = mark_features(forward, size, max_hamming, min_photos, seed)
    artefact.write(
        out,
        "marks",
        {"offset": forward.offset, "masked": masked, "evidence/marked": marked, "evidence/photos": counts, **photos_of(collection)},
        {"min_photos": min_photos, "max_hamming": max_hamming, "seed": seed, "lineage": made_with},
    )


def mark_features(forward, size, max_hamming, min_photos, seed):
    """Find the features of marks.

    Args:
        forward: `Forward` or `ForwardFiles`; size: int [n, 2], width and height.
        max_hamming, min_photos, seed: see `find_marks`.

    Returns:
        marked bool [N] (features of a recurring mark), masked bool [N] (those and their neighbours), and the number of photos of every
        recurring place that was taken for a mark, int32.
    """
    places = recurring_places(forward, size, min_photos)
    recurring = np.zeros(forward.offset[-1], bool)
    for rows, _ in places:
        recurring[rows] = True
    marked, counts = np.zeros(len(recurring), bool), []
    sharing = _Sharing(forward, size, recurring, max_hamming)
    for rows, photos in progress(places, "marks"):
        pairs = _sample_pairs(photos, _PAIRS_PER_PLACE, seed)
        if np.mean([sharing.share(a, b) for a, b in pairs]) < 0.5:
            marked[rows] = True
            counts.append(len(photos))
    return marked, _spread(marked, forward, size), np.array(counts, np.int32)


class _Sharing:
    """Whether two photos share something besides recurring features; every pair is verified once."""

    def __init__(self, forward, size, recurring, max_hamming):
        self._forward, self._size, self._recurring, self._max_hamming = forward, size, recurring, max_hamming
        self._rest, self._known = lru_cache(_RECENT)(self._words), {}

    def share(self, a, b):
        if (a, b) not in self._known:
            inliers = verify_words(self._rest(a), self._rest(b), self._max_hamming)[1]
            self._known[a, b] = len(inliers) >= _SHARING
        return self._known[a, b]

    def _words(self, photo):
        kept = ~self._recurring[slice(*self._forward.offset[photo : photo + 2])]
        arrays = self._forward.photo(photo)
        columns = (arrays[name][kept] for name in ("word", "signature", "keypoint", "feature"))
        return Words(*columns, tuple(self._size[photo]))


def _sample_pairs(photos, count, seed):
    """At most `count` different pairs (a < b) of sorted photos; a function of the photos alone, so cells of one set share the work."""
    pairs = [(int(a), int(b)) for i, a in enumerate(photos[:64]) for b in photos[i + 1 : 64]]
    if len(pairs) <= count:
        return pairs
    rng = np.random.default_rng([seed, 3, *map(int, photos[:8])])
    return [pairs[i] for i in np.sort(rng.choice(len(pairs), count, replace=False))]


def _spread(marked, forward, size):
    """Mask the neighbours of marked features, bool [N]."""
    masked, offset = marked.copy(), forward.offset
    for photo in np.unique(np.searchsorted(offset, np.flatnonzero(marked), side="right") - 1).tolist():
        rows = slice(*offset[photo : photo + 2])
        xy = forward.photo(photo)["keypoint"][:, :2]
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
