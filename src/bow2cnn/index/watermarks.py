"""Watermarks, logos and name banners: features that recur at the same place of photos that share nothing else.

Photo agencies print the same watermark at the same place of every photo. Such features match perfectly and join unrelated photos. They can
be recognised statistically, because the same visual word occurs at the same place of the frame in many photos. So it does in photos of one
object from one tripod. Therefore a recurring place is a watermark only if it recurs in different scenes, that is, if most pairs of its
photos share nothing without the recurring features. Near copies (the frames of a fixed camera, versions of one photo) are one scene. All of
their features recur, so they are recognised by sharing nearly everything.
"""

import itertools
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.geometry.nearby import within_reach
from bow2cnn.geometry.verify import MAX_MATCHES
from bow2cnn.index.engine import QuantisedFeatures, verify_words
from bow2cnn.index.forward import ForwardFiles, ForwardIndex
from bow2cnn.index.recurring_places import recurring_places

# Features this near to one of a watermark are masked too, as a fraction of the longer side: text beside it differs from photo to photo.
_REACH = 0.02
_DRAWN, _PAIRS = 16, 12  # photos of a recurring place that are compared, and pairs of these
_SHARING = 6  # verified inliers without the recurring features from which a pair shares more than a watermark
# Near copies share at least this part of the features of the photo with fewer features, in at least this part of the cells of a grid that
# hold features of it.
_COPIED, _COVERED, _GRID = 0.15, 0.4, 10
_RECENT = 4096  # photos whose words stay in memory


def find_watermarks(
    collection: str | Path,
    words: Sequence[str | Path],
    out: str | Path,
    max_hamming: int,
    min_photos: int,
    seed: int,
    code: str = "",
) -> None:
    """Write the `watermarks` artefact: the features of watermarks in a collection.

    Args:
        collection: path of the `collection` artefact.
        words: paths of the `words` artefacts, in the order of the shards.
        out: path.
        max_hamming: largest number of bits in which the signatures of a match differ.
        min_photos: smallest number of photos with a watermark; see `recurring_places`.
        seed: of the photos and pairs that are drawn.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: the artefacts are not of the same photos, or one cannot be read.
        WriteError: the disk is full or not writable.
    """
    check_photos(collection, words)
    made_with = lineage("watermarks", [lineage_of(path, "words") for path in words], max_hamming, min_photos, seed, code)
    forward = ForwardFiles(words)
    photos = artefact.read(collection, "collection", ["width", "height"])
    size = np.stack([photos["width"], photos["height"]], 1)
    marked, masked, counts = watermark_features(forward, size, max_hamming, min_photos, seed)
    artefact.write(
        out,
        "watermarks",
        {"offset": forward.offset, "masked": masked, "evidence/marked": marked, "evidence/photos": counts, **photos_of(collection)},
        {"min_photos": min_photos, "max_hamming": max_hamming, "seed": seed, "lineage": made_with},
    )


def watermark_features(
    forward: ForwardIndex | ForwardFiles, size: np.ndarray, max_hamming: int, min_photos: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int32]]:
    """Find the features of watermarks.

    Args:
        forward: the words of all photos.
        size: (width, height) of the photos, int [n, 2], pixels.
        max_hamming, min_photos, seed: see `find_watermarks`.

    Returns:
        marked bool [N]: the features of recurring places that are watermarks; masked bool [N]: these and their neighbours; and the number
        of photos of each such place, int32 [places].
    """
    places = recurring_places(forward, size, min_photos)
    recurring = np.zeros(forward.offset[-1], bool)
    for rows, _ in places:
        recurring[rows] = True
    marked, counts = np.zeros(len(recurring), bool), []
    scenes = _Scenes(_PhotoPairs(forward, size, recurring, max_hamming), min_photos, seed)
    for rows, photos in progress(places, "watermarks"):
        if scenes.differ(photos):
            marked[rows] = True
            counts.append(len(photos))
    return marked, _mask_neighbours(marked, forward, size), np.array(counts, np.int32)


class _Scenes:
    """Whether photos show different scenes; the answer for each set of photos is computed once."""

    def __init__(self, pairs, min_photos, seed):
        self._pairs, self._min_photos, self._seed, self._known = pairs, min_photos, seed, {}

    def differ(self, photos):
        """Whether most pairs of the photos (sorted rows) share nothing without the recurring features, and at least `min_photos` of the
        photos, and more than half of them, are not near copies of each other. Both are estimated from photos that are drawn.
        """
        key = photos.tobytes()
        if key not in self._known:
            self._known[key] = self._differ(photos)
        return self._known[key]

    def _differ(self, photos):
        rng = np.random.default_rng([self._seed, 3, *map(int, photos[:8])])
        drawn = _draw(photos.tolist(), _DRAWN, rng)
        pairs = _draw(list(itertools.combinations(drawn, 2)), _PAIRS, rng)
        if np.mean([self._pairs.share(*pair) for pair in pairs]) >= 0.5:
            return False
        scenes = []
        for photo in drawn:
            if not any(self._pairs.copies(other, photo) for other in scenes):
                scenes.append(photo)
        return 2 * len(scenes) > len(drawn) and len(scenes) * len(photos) >= self._min_photos * len(drawn)


class _PhotoPairs:
    """Comparison of two photos (rows a < b); the answers for each pair are computed once."""

    def __init__(self, forward, size, recurring, max_hamming):
        self._forward, self._size, self._recurring, self._max_hamming = forward, size, recurring, max_hamming
        self._all, self._rest = lru_cache(_RECENT)(self._words), lru_cache(_RECENT)(self._other_words)
        self.share, self.copies = cache(self._share), cache(self._copies)

    def _share(self, a, b):
        """Whether two photos share something besides recurring features."""
        return len(verify_words(self._rest(a), self._rest(b), self._max_hamming)[1]) >= _SHARING

    def _copies(self, a, b):
        """Whether two photos are near copies."""
        a, b = self._all(a), self._all(b)
        inliers = verify_words(a, b, self._max_hamming)[1]
        if len(inliers) < _COPIED * min(len(a), len(b), MAX_MATCHES):
            return False
        poorer, rows = min((a, inliers[:, 0]), (b, inliers[:, 1]), key=lambda side: len(side[0]))
        cell = np.clip(poorer.keypoint[:, :2] / poorer.size * _GRID, 0, _GRID - 1).astype(int) @ [_GRID, 1]
        return len(np.unique(cell[rows])) >= _COVERED * len(np.unique(cell))

    def _words(self, photo):
        arrays = self._forward.photo(photo)
        return QuantisedFeatures(*(arrays[name] for name in ("word", "signature", "keypoint", "feature")), tuple(self._size[photo]))

    def _other_words(self, photo):
        return self._all(photo).select(~self._recurring[slice(*self._forward.offset[photo : photo + 2])])


def _draw(items, count, rng):
    """Draw at most `count` items of a list; they stay in order."""
    if len(items) <= count:
        return items
    return [items[i] for i in np.sort(rng.choice(len(items), count, replace=False))]


def _mask_neighbours(marked, forward, size):
    """The marked features and their neighbours, bool [N]."""
    masked, offset = marked.copy(), forward.offset
    for photo in np.unique(np.searchsorted(offset, np.flatnonzero(marked), side="right") - 1).tolist():
        rows = slice(*offset[photo : photo + 2])
        xy = forward.photo(photo)["keypoint"][:, :2]
        masked[rows] |= within_reach(xy, xy[marked[rows]], _REACH * size[photo].max())
    return masked
