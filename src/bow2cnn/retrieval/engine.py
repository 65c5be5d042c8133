"""The retrieval engine: a loaded index that ranks photos for the words of a query and verifies the ranking by geometry.

Score of a photo d for a query q (tf-idf: Sivic and Zisserman, ICCV 2003; Hamming embedding with Gaussian weights: Jegou, Douze,
Schmid, IJCV 2010; burstiness: the same, CVPR 2009):

    score(q, d) = 1 / (|q| |d|)  sum over matched features  w_q w_d exp(-h^2 / 16^2),   w = idf(word) / sqrt(features of that word)

where a query feature and a photo's feature match when they share a word and their signatures differ in h <= `max_hamming` bits; a query
feature counts once per photo and word, for its best match there, and may have several words (soft assignment: Philbin et al., CVPR 2008),
a photo's feature has one; |x| = sqrt(sum w^2).
"""

import numba
import numpy as np

from bow2cnn import artefact
from bow2cnn.retrieval.verify import hamming, match_words, verify, verify_shortlist

_SIGMA = 16.0  # bits; the paper's choice for signatures of 64 bits
TOLERANCE = 0.025  # transfer error of an inlier as a fraction of the photo's longer side: facades and statues are no planes


class Words:
    """Words of one photo: word uint32 [N], signature uint64 [N], keypoint float32 [N, 6], feature int32 [N], rows sorted by word.

    With soft assignment a feature has a row for each of its words.
    """

    __slots__ = ("feature", "keypoint", "signature", "size", "word")

    def __init__(self, word, signature, keypoint, feature, size):
        self.word, self.signature, self.keypoint, self.feature, self.size = word, signature, keypoint, feature, size

    def __len__(self):
        return len(self.word)

    def select(self, rows):
        return Words(self.word[rows], self.signature[rows], self.keypoint[rows], self.feature[rows], self.size)


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
        return Words(*(array[rows] for array in self._forward), tuple(self.size[photo]))

    def score(self, query):
        """Score of every photo for the query's words, float32 [n]."""
        weight = word_weights(query.word, self.idf)
        scores = _accumulate(query.word, query.signature, weight, self._word_offset, *self._postings, self.max_hamming, len(self))
        return scores / (self.norm * max(np.sqrt((weight**2).sum()), 1e-12))

    def rank(self, query, count):
        """The `count` photos of highest score: rows int64 and scores float32, ties by row; photos of score 0 are left out."""
        scores = self.score(query)
        least = np.partition(scores, -count)[-count] if 0 < count < len(scores) else 0.0  # of a large index hardly a photo is sorted
        rows = np.flatnonzero((scores >= least) & (scores > 0))
        best = rows[np.argsort(-scores[rows], kind="stable")][:count]
        return best, scores[best]

    def verify(self, query, photo):
        """Transform (query to photo, float64 [2, 3]) and inlier rows (int32 [k, 2] into both photos' words) of one pair."""
        other = self.words(photo)
        return verify_words(query, other, self.max_hamming)

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
    match = match_words(a.word, a.signature, b.word, b.signature, max_hamming)
    transform, inliers = verify(a.keypoint, a.feature, b.keypoint, match, TOLERANCE * max(b.size))
    return transform, match[inliers]


@numba.njit(cache=True, nogil=True)
def _accumulate(word, signature, weight, word_offset, photo, posting_signature, posting_weight, max_hamming, count):
    scores = np.zeros(count, np.float32)
    table = np.zeros(65, np.float32)
    for h in range(max_hamming + 1):
        table[h] = np.exp(-h * h / (_SIGMA * _SIGMA))
    for i in range(len(word)):
        last, best = -1, np.float32(0)
        for k in range(word_offset[word[i]], word_offset[word[i] + 1]):
            vote = table[hamming(signature[i], posting_signature[k])] * posting_weight[k]
            # A query feature votes once per photo, for its best match there (postings of a word are sorted by photo).
            if photo[k] != last:
                if last >= 0:
                    scores[last] += best * weight[i]
                last, best = photo[k], vote
            elif vote > best:
                best = vote
        if last >= 0:
            scores[last] += best * weight[i]
    return scores
