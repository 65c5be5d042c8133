"""The retrieval engine: a loaded index that ranks photos for the words of a query and verifies the ranking by geometry.

Score of a photo d for a query q (tf-idf: Sivic and Zisserman, ICCV 2003; Hamming embedding with Gaussian weights: Jegou, Douze,
Schmid, IJCV 2010; burstiness: the same, CVPR 2009):

    score(q, d) = 1 / (|q| |d|)  sum over matches  w_q w_d exp(-h^2 / 16^2),   w = idf(word) / sqrt(features of that word)

where a query feature and a photo's feature can match when they share a word and their signatures differ in h <= `max_hamming` bits;
|x| = sqrt(sum of w^2 over features). A query feature may have several words (soft assignment: Philbin et al., CVPR 2008); its w is that of
its nearest. A photo's feature has one word.

Matches are one-to-one. Within a word and a photo they are taken by h, then nearest words first, then by row; of what a query feature
gets in several words its best match counts. So by the inequality of Cauchy and Schwarz no score is above 1, and a photo with the query's
features and their nearest words has it: nothing is more like a photo than its twin, however often its features repeat.
"""

import functools

import numba
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.geometry.overlays import verify_unprinted
from bow2cnn.geometry.verify import match_words, verify, verify_shortlist

_SIGMA = 16.0  # bits; the paper's choice for signatures of 64 bits
_FIRST, _SECOND = 55, 23  # where the fields of a packed candidate begin: bits apart above 32 bits of rows' sums above 23 bits of a row
TOLERANCE = 0.025  # transfer error of an inlier as a fraction of the photo's longer side: facades and statues are no planes


class QuantisedFeatures:
    """Words of one photo: word uint32 [N], signature uint64 [N], keypoint float32 [N, 6], feature int32 [N], rows sorted by word.

    With soft assignment a feature has a row for each of its words; nearest bool [N] says which one is of its nearest word.

    All arrays are read-only, as those of a mapped index: for others the compiled functions would be compiled a second time.
    """

    __slots__ = ("feature", "keypoint", "nearest", "signature", "size", "word")

    def __init__(self, word, signature, keypoint, feature, size, nearest=None):
        self.word, self.signature, self.keypoint, self.feature = map(_read_only, (word, signature, keypoint, feature))
        self.nearest, self.size = _read_only(np.ones(len(word), bool) if nearest is None else nearest), size

    def __len__(self):
        return len(self.word)

    def select(self, rows):
        return QuantisedFeatures(
            self.word[rows], self.signature[rows], self.keypoint[rows], self.feature[rows], self.size, self.nearest[rows]
        )


def _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


class Engine:
    """An index.

    Args:
        arrays: of an `index` artefact.
        max_hamming: bits that two matching signatures may differ in.
    """

    def __init__(self, arrays, max_hamming):
        self.max_hamming = max_hamming
        self.idf, self.norm, self.size = arrays["idf"], arrays["norm"], arrays["size"]
        self._word_offset = arrays["word_offset"]
        self._postings = arrays["photo"], arrays["posting_signature"], arrays["weight"]
        self._offset = arrays["offset"]
        self._forward = arrays["word"], arrays["signature"], arrays["keypoint"], arrays["feature"]

    @classmethod
    def load(cls, index, max_hamming):
        """The engine of an `index` artefact at a path, which is mapped: what is used of it takes memory, as long as there is enough."""
        with artefact.Reader(index, "index") as reader:
            return cls({name: reader.map(name) for name in reader.names()}, max_hamming)

    def __len__(self):
        return len(self.norm)

    def words(self, photo):
        """Words of a photo of the index."""
        rows = slice(self._offset[photo], self._offset[photo + 1])
        return QuantisedFeatures(*(array[rows] for array in self._forward), tuple(self.size[photo]))

    def score(self, *queries):
        """Score of every photo, float32 [n]: of one query (`QuantisedFeatures`), or the mean of the scores of several that ask for one
        thing, weighted by their |q|, which is their votes added up (average query expansion: Chum et al., Total recall, ICCV 2007)."""
        weights = [feature_weights(query, self.idf) for query in queries]
        votes = np.zeros(len(self), np.float32)
        for query, weight in zip(queries, weights, strict=True):
            votes += _accumulate(
                query.word, query.signature, query.feature, weight, ~query.nearest, self._word_offset, *self._postings, self.max_hamming,
                len(self),
            )  # fmt: skip
        norms = [np.sqrt((weight[query.nearest] ** 2).sum()) for query, weight in zip(queries, weights, strict=True)]
        return votes / (self.norm * np.float32(max(sum(norms), 1e-12)))

    def rank(self, query, count, expansion=()):
        """The `count` photos of highest score for a query and its expansion: rows int64 and scores float32, ties by row;
        photos of score 0 are left out."""
        scores = self.score(query, *expansion)
        least = np.partition(scores, -count)[-count] if 0 < count < len(scores) else 0.0  # of a large index hardly a photo is sorted
        rows = np.flatnonzero((scores >= least) & (scores > 0))
        best = rows[np.argsort(-scores[rows], kind="stable")][:count]
        return best, scores[best]

    def verify(self, query, photo):
        """Transform (query to photo, float64 [2, 3]) and inlier rows (int32 [k, 2] into both photos' words) of one pair, those of a mark
        that is printed on both set aside (see `verify_unprinted`).
        """
        other = self.words(photo)
        match = match_words(query.word, query.signature, other.word, other.signature, self.max_hamming)
        features = max(len(np.unique(query.feature)), len(other))
        verify = functools.partial(verify_matches, query, other)
        return verify_unprinted(verify, match, query.keypoint, other.keypoint, query.size, other.size, features)

    def verify_all(self, query, photos):
        """Number of verified inliers of the query with each photo, int32 [len(photos)], and the transforms float64 [len, 2, 3]."""
        return verify_shortlist(
            query.word, query.signature, query.keypoint, query.feature, np.asarray(photos, np.int64),
            self._offset, *self._forward[:3], self.size, self.max_hamming, TOLERANCE,
        )  # fmt: skip


def word_weights(word, idf, photo=None):
    """w = idf / sqrt(features of the word) of features, float32 [N]; see `first_of_word`."""
    run = np.cumsum(first_of_word(word, photo)) - 1
    return (idf[word] / np.sqrt(np.bincount(run)[run])).astype(np.float32)


def feature_weights(words, idf):
    """w of every row's feature, which is that of its nearest word, float32 [N]."""
    of_feature = np.zeros(words.feature.max(initial=-1) + 1, np.float32)
    of_feature[words.feature[words.nearest]] = word_weights(words.word[words.nearest], idf)
    return of_feature[words.feature]


def first_of_word(word, photo=None):
    """Whether a feature is its photo's first of its word, bool [N].

    Args:
        word: [N], sorted within each photo.
        photo: [N], ascending; None where there is but one.
    """
    first = np.ones(len(word), bool)
    first[1:] = word[1:] != word[:-1]
    if photo is not None:
        first[1:] |= photo[1:] != photo[:-1]
    return first


def verify_words(a, b, max_hamming):
    """Transform a to b and the inlier rows int32 [k, 2] into the words of both."""
    return verify_matches(a, b, match_words(a.word, a.signature, b.word, b.signature, max_hamming))


def verify_matches(a, b, match):
    """The same for tentative matches, int32 [m, 2] rows."""
    transform, inliers = verify(a.keypoint, a.feature, b.keypoint, match, TOLERANCE * max(b.size))
    return transform, match[inliers]


@numba.njit(cache=True, nogil=True)
def _accumulate(word, signature, feature, weight, soft, word_offset, photo, posting_signature, posting_weight, max_hamming, count):
    """Sum of every photo's votes, float32 [count].

    Args:
        word, signature, feature, weight: of the query's rows, sorted by word.
        soft: whether a row is of another word than its feature's nearest, bool [N].
        word_offset, photo, posting_signature, posting_weight: the inverted file; the postings of a word are sorted by photo.
    """
    row, posting, bits = _match(word, signature, soft, word_offset, photo, posting_signature, max_hamming)
    kernel = np.exp(-(np.arange(65) ** 2) / (_SIGMA * _SIGMA))
    newest = np.full(feature.max() + 1 if len(feature) else 0, -1)  # match of every feature; `before` leads to its other ones
    before = np.empty(len(row), np.int64)
    for m in range(len(row)):
        before[m] = newest[feature[row[m]]]
        newest[feature[row[m]]] = m
    scores, best, voter = np.zeros(count, np.float32), np.zeros(count, np.float32), np.full(count, -1)
    for f in range(len(newest)):  # a feature votes once for a photo, for its best match in all of its words
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
    """Matches of the query's rows with postings, one-to-one within every word: rows int32 [m], postings int64 [m], bits apart uint8 [m]."""
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
        number, owner = 0, -1  # candidates of the photo that the last of them is of
        for k in range(first, end):
            for i in range(start, stop):
                h = _hamming(signature[i], posting_signature[k])
                if h > limit:
                    continue
                if photo[k] != owner:
                    if number > 1:
                        found = _one_to_one(candidates[:number], start, first, row_taken, posting_taken, row, posting, bits, found)
                    number, owner = 0, photo[k]
                if number == 0:  # most are alone: taken already unless another comes
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
    """A candidate as a number, in the order in which candidates are taken: few bits apart, a nearest word, early rows of both photos.

    The sum of the rows makes the order the same when query and photo change places: candidates of one sum do not exclude each other.
    """
    return (2 * h + soft) << _FIRST | (i + k) << _SECOND | i


@numba.njit(cache=True, nogil=True)
def _one_to_one(candidates, start, first, row_taken, posting_taken, row, posting, bits, found):
    """Append what is taken of the candidates of a word and a photo; where the matches end then."""
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
    """Number of different bits of two uint64.

    It stands here too (`verify.hamming`) because a compiled function that is kept on disk is compiled anew when its own file changes, not
    when one that it calls does.
    """
    x = a ^ b
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
