"""The retrieval engine: a loaded index that ranks photos for the words of a query and verifies the ranking by geometry.

The score of a photo d for a query q is (tf-idf: Sivic and Zisserman, ICCV 2003; Hamming embedding with Gaussian weights: Jegou, Douze,
Schmid, IJCV 2010; burstiness: the same authors, CVPR 2009)

    score(q, d) = 1 / (|q| |d|)  sum over matches  w_q w_d exp(-h^2 / 16^2),   w = idf(word) / sqrt(features of that word)

where two features can match if they have the same word and their signatures differ in h <= `max_hamming` bits, and
|x| = sqrt(sum of w^2 over features). A query feature may have several words (soft assignment: Philbin et al., CVPR 2008); its w is that of
its nearest word. A feature of an indexed photo has one word.

Matches are one-to-one. Within a word and a photo they are chosen by h, then nearest words first, then by row. Only the best match of a
query feature with a photo counts. So by the Cauchy-Schwarz inequality no score is above 1, and a photo with the query's features and their
nearest words reaches 1: however often features repeat, no photo has a higher score than an identical one.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact
from bow2cnn.geometry.overlays import verify_without_overlay
from bow2cnn.geometry.verify import match_words, verify, verify_shortlist

_SIGMA = 16.0  # bits; the paper's choice for signatures of 64 bits
# First bits of the upper two fields of a packed candidate: distance (and whether it is soft), 32 bits of a sum of rows, 23 bits of a row.
_FIRST, _SECOND = 55, 23
TOLERANCE = 0.025  # transfer error of an inlier, as a fraction of the photo's longer side; facades and statues are not planar


class QuantisedFeatures:
    """The words of one photo, in rows that are sorted by word. With soft assignment a feature has a row for each of its words.

    All arrays are read-only, like those of a mapped index: for writable arrays the compiled functions would be compiled a second time.

    Attributes:
        word: uint32 [N].
        signature: binary signatures, uint64 [N].
        keypoint: frames (x, y, a11, a12, a21, a22) in pixels of the photo, float32 [N, 6].
        feature: number of the feature in the photo, int32 [N].
        size: (width, height) of the photo, pixels.
        nearest: whether the word is the feature's nearest, bool [N]; all by default.
    """

    __slots__ = ("feature", "keypoint", "nearest", "signature", "size", "word")

    def __init__(
        self,
        word: np.ndarray,
        signature: np.ndarray,
        keypoint: np.ndarray,
        feature: np.ndarray,
        size: tuple[int, int],
        nearest: np.ndarray | None = None,
    ) -> None:
        self.word, self.signature, self.keypoint, self.feature = map(_read_only, (word, signature, keypoint, feature))
        self.nearest, self.size = _read_only(np.ones(len(word), bool) if nearest is None else nearest), size

    def __len__(self) -> int:
        return len(self.word)

    def select(self, rows: np.ndarray | Sequence[int]) -> "QuantisedFeatures":
        """Only these rows (numbers, or bool [N])."""
        return QuantisedFeatures(
            self.word[rows], self.signature[rows], self.keypoint[rows], self.feature[rows], self.size, self.nearest[rows]
        )


def _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


class Engine:
    """A loaded index.

    Args:
        arrays: the arrays of an `index` artefact; see `bow2cnn.index.invert.assemble`.
        max_hamming: largest number of bits in which the signatures of a match differ.

    Attributes:
        idf: of the words, float32 [K].
        norm: of the photos, |d|, float32 [n].
        size: (width, height) of the photos, int32 [n, 2], pixels.
    """

    def __init__(self, arrays: dict[str, np.ndarray], max_hamming: int) -> None:
        self.max_hamming = max_hamming
        self.idf, self.norm, self.size = arrays["idf"], arrays["norm"], arrays["size"]
        self._word_offset = arrays["word_offset"]
        self._postings = arrays["photo"], arrays["posting_signature"], arrays["weight"]
        self._offset = arrays["offset"]
        self._forward = arrays["word"], arrays["signature"], arrays["keypoint"], arrays["feature"]

    @classmethod
    def load(cls, index: str | Path, max_hamming: int) -> "Engine":
        """Map the `index` artefact at a path. Only the parts that are used take memory, and the system can free it.

        Raises:
            ArtefactError: the file cannot be read.
        """
        with artefact.Reader(index, "index") as reader:
            return cls({name: reader.map(name) for name in reader.names()}, max_hamming)

    def __len__(self) -> int:
        return len(self.norm)

    def words(self, photo: int) -> QuantisedFeatures:
        """The words of a photo of the index."""
        rows = slice(self._offset[photo], self._offset[photo + 1])
        word, signature, keypoint, feature = (array[rows] for array in self._forward)
        return QuantisedFeatures(word, signature, keypoint, feature, tuple(self.size[photo]))

    def score(self, *queries: QuantisedFeatures) -> np.ndarray:
        """Score of every photo for a query, float32 [n].

        For several queries it is the mean of their scores weighted by their |q|, that is, their votes are added (average query expansion:
        Chum et al., Total recall, ICCV 2007).
        """
        weights = [feature_weights(query, self.idf) for query in queries]
        votes = np.zeros(len(self), np.float32)
        for query, weight in zip(queries, weights, strict=True):
            votes += _accumulate(
                query.word, query.signature, query.feature, weight, ~query.nearest, self._word_offset, *self._postings, self.max_hamming,
                len(self),
            )  # fmt: skip
        norms = [np.sqrt((weight[query.nearest] ** 2).sum()) for query, weight in zip(queries, weights, strict=True)]
        return votes / (self.norm * np.float32(max(sum(norms), 1e-12)))

    def rank(self, query: QuantisedFeatures, count: int, expansion: Sequence[QuantisedFeatures] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Rank the photos for a query.

        Args:
            query: the query.
            count: number of photos; there may be fewer, because photos with score 0 are left out.
            expansion: further queries; see `score`.

        Returns:
            photos int64 [r] by falling score, equal ones by row, and their scores float32 [r].
        """
        scores = self.score(query, *expansion)
        least = np.partition(scores, -count)[-count] if 0 < count < len(scores) else 0.0  # few photos of a large index are sorted
        rows = np.flatnonzero((scores >= least) & (scores > 0))
        best = rows[np.argsort(-scores[rows], kind="stable")][:count]
        return best, scores[best]

    def verify(self, query: QuantisedFeatures, photo: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Verify a query with a photo; matches of an overlay on both are left out (see `verify_without_overlay`).

        Returns:
            the transform from the query to the photo, float64 [2, 3], and the inliers, rows of the words of both, int32 [k, 2].
        """
        other = self.words(photo)
        match = match_words(query.word, query.signature, other.word, other.signature, self.max_hamming)
        features = max(len(np.unique(query.feature)), len(other))
        verify = functools.partial(verify_matches, query, other)
        transform, inliers, _ = verify_without_overlay(verify, match, query.keypoint, other.keypoint, query.size, other.size, features)
        return transform, inliers

    def verify_all(self, query: QuantisedFeatures, photos: np.ndarray | Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Verify a query with several photos, without regard to overlays.

        Returns:
            the number of inliers with each photo, int32 [p], and the transforms from the query to the photos, float64 [p, 2, 3].
        """
        return verify_shortlist(
            query.word, query.signature, query.keypoint, query.feature, np.asarray(photos, np.int64),
            self._offset, *self._forward[:3], self.size, self.max_hamming, TOLERANCE,
        )  # fmt: skip


def word_weights(word: np.ndarray, idf: np.ndarray, photo: np.ndarray | None = None) -> NDArray[np.float32]:
    """Weights w = idf / sqrt(features of the word in the photo) of features, float32 [N].

    Args:
        word, photo: see `first_of_word`.
        idf: of all words, float32 [K].
    """
    run = np.cumsum(first_of_word(word, photo)) - 1
    return (idf[word] / np.sqrt(np.bincount(run)[run])).astype(np.float32)


def feature_weights(words: QuantisedFeatures, idf: np.ndarray) -> NDArray[np.float32]:
    """Weight of the feature of every row, float32 [N]: the weight w in its nearest word (see `word_weights`)."""
    of_feature = np.zeros(words.feature.max(initial=-1) + 1, np.float32)
    of_feature[words.feature[words.nearest]] = word_weights(words.word[words.nearest], idf)
    return of_feature[words.feature]


def first_of_word(word: np.ndarray, photo: np.ndarray | None = None) -> NDArray[np.bool_]:
    """Whether a feature is the first of its word in its photo, bool [N].

    Args:
        word: words of the features, sorted within each photo, uint32 [N].
        photo: photos of the features, ascending, int [N]; None for a single photo.
    """
    first = np.ones(len(word), bool)
    first[1:] = word[1:] != word[:-1]
    if photo is not None:
        first[1:] |= photo[1:] != photo[:-1]
    return first


def verify_words(a: QuantisedFeatures, b: QuantisedFeatures, max_hamming: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Verify two photos by their words.

    Args:
        a, b: the photos.
        max_hamming: largest number of bits in which the signatures of a match differ.

    Returns:
        the transform from a to b, float64 [2, 3], and the inliers, rows of a and of b, int32 [k, 2].
    """
    return verify_matches(a, b, match_words(a.word, a.signature, b.word, b.signature, max_hamming))


def verify_matches(a: QuantisedFeatures, b: QuantisedFeatures, match: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """As `verify_words`, for tentative matches, rows of a and of b, int32 [m, 2]."""
    transform, inliers = verify(a.keypoint, a.feature, b.keypoint, match, TOLERANCE * max(b.size))
    return transform, match[inliers]


@numba.njit(cache=True, nogil=True)
def _accumulate(word, signature, feature, weight, soft, word_offset, photo, posting_signature, posting_weight, max_hamming, count):
    """Sum of the votes for every photo, float32 [count].

    Args:
        word, signature, feature, weight: rows of the query, sorted by word.
        soft: whether the word of a row is not its feature's nearest, bool [N].
        word_offset, photo, posting_signature, posting_weight: the inverted file; the postings of a word are sorted by photo.
        max_hamming: see `Engine`.
        count: number of photos.
    """
    row, posting, bits = _match(word, signature, soft, word_offset, photo, posting_signature, max_hamming)
    kernel = np.exp(-(np.arange(65) ** 2) / (_SIGMA * _SIGMA))
    newest = np.full(feature.max() + 1 if len(feature) else 0, -1)  # newest match of every feature; `before` leads to its earlier ones
    before = np.empty(len(row), np.int64)
    for m in range(len(row)):
        before[m] = newest[feature[row[m]]]
        newest[feature[row[m]]] = m
    scores, best, voter = np.zeros(count, np.float32), np.zeros(count, np.float32), np.full(count, -1)
    for f in range(len(newest)):  # a feature votes for a photo once, by its best match in all of its words
        m = newest[f]
        while m >= 0:
            chosen = photo[posting[m]]
            vote = np.float32(kernel[bits[m]] * weight[row[m]] * posting_weight[posting[m]])
            if voter[chosen] != f:
                voter[chosen], best[chosen] = f, 0
            if vote > best[chosen]:
                scores[chosen] += vote - best[chosen]
                best[chosen] = vote
            m = before[m]
    return scores


@numba.njit(cache=True, nogil=True)
def _match(word, signature, soft, word_offset, photo, posting_signature, max_hamming):
    """Match the query's rows with postings, one-to-one within every word and photo.

    Returns:
        rows int32 [m], postings int64 [m], and the number of bits in which their signatures differ, uint8 [m].
    """
    most, longest = 0, 0
    for i in range(len(word)):
        if i == 0 or word[i] != word[i - 1]:
            length = word_offset[word[i] + 1] - word_offset[word[i]]
            most, longest = most + length, max(longest, length)
    row, posting, bits = np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.uint8)
    row_taken, posting_taken = np.zeros(len(word), np.bool_), np.zeros(longest, np.bool_)
    candidates, limit = np.empty(256, np.int64), np.uint64(max_hamming)
    found = start = 0
    while start < len(word):
        stop = start + 1
        while stop < len(word) and word[stop] == word[start]:
            stop += 1
        first, end = word_offset[word[start]], word_offset[word[start] + 1]
        number, owner = 0, -1  # number of candidates of the current photo, and that photo
        for k in range(first, end):
            for i in range(start, stop):
                h = _hamming(signature[i], posting_signature[k])
                if h > limit:
                    continue
                if photo[k] != owner:
                    if number > 1:
                        found = _one_to_one(candidates[:number], start, first, row_taken, posting_taken, row, posting, bits, found)
                    number, owner = 0, photo[k]
                if number == 0:  # most are the only candidate of their photo, so the first is taken until there is a second
                    row[found], posting[found], bits[found] = i, k, h
                    found += 1
                if number == len(candidates):
                    candidates = np.concatenate((candidates, candidates))
                candidates[number] = _pack(np.int64(h), soft[i], i - start, k - first)
                number += 1
        if number > 1:
            found = _one_to_one(candidates[:number], start, first, row_taken, posting_taken, row, posting, bits, found)
        start = stop
    return row[:found], posting[:found], bits[:found]


@numba.njit(cache=True, nogil=True)
def _pack(h, soft, i, k):
    """A candidate as a number; candidates are taken in the order of these: smaller distances first, then nearest words, then earlier rows.

    Rows are ordered by the sum of both, so that the order does not change when query and photo change places: candidates with the same sum
    do not exclude each other.
    """
    return (2 * h + soft) << _FIRST | (i + k) << _SECOND | i


@numba.njit(cache=True, nogil=True)
def _one_to_one(candidates, start, first, row_taken, posting_taken, row, posting, bits, found):
    """Append the candidates of a word and a photo that are taken, in place of the first one; the new number of matches."""
    candidates.sort()
    found -= 1
    begin = found
    for candidate in candidates:
        i = candidate & ((1 << _SECOND) - 1)
        k = (candidate >> _SECOND & ((1 << (_FIRST - _SECOND)) - 1)) - i
        if row_taken[i] or posting_taken[k]:
            continue
        row_taken[i] = posting_taken[k] = True
        row[found], posting[found], bits[found] = start + i, first + k, candidate >> _FIRST >> 1
        found += 1
    for m in range(begin, found):
        row_taken[row[m] - start] = posting_taken[posting[m] - first] = False
    return found


@numba.njit(cache=True, nogil=True)
def _hamming(a, b):
    """Number of bits in which two uint64 differ.

    This copy of `bow2cnn.geometry.verify.hamming` is in this file because numba compiles a cached function again only when its own file
    changes, not when the file of a function that it calls does.
    """
    x = a ^ b
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
