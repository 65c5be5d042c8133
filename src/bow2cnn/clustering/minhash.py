"""Min-hash seeds: pairs of photos with overlapping word sets, found without comparing every pair.

Chum and Matas, Large-scale discovery of spatially related images, PAMI 2010. The hash of a photo is the word that minimises
-ln(u) / idf(word), u uniform and a function of word and hash number: two photos then agree with a probability equal to the
idf-weighted overlap of their word sets, sum idf over the common words / sum idf over all words (section 3.2). A sketch is s such
hashes; photos that share one of k sketches collide, which happens with probability 1 - (1 - x^s)^k at overlap x.

Nearly every photo has one of the few words of the smallest values, so these are gone through in order, each with the photos that have it,
and only what none of them is in looks at all of its own words: a hash takes some postings per photo, not hundreds of words.
"""

from typing import NamedTuple

import numba
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import photos_of

_LARGEST_BUCKET = 200  # photos with one sketch; more than this is a mark that nobody saw or a blank page
_NO_WORD = 0xFFFFFFFF
_AT_ONCE = 16  # sketches whose pairs are in memory together
_POSTINGS = 9.0  # of the words gone through in order, per photo: about exp(-9) of the photos have none of them
_SLACK = 1e-6  # of a chance that is computed in another way


def collide_sketches(index, out, part, parts, sketch_size, sketches, min_similarity, seed, threads, code=""):
    """Write the `collisions` artefact: the pairs of photos that share one of a part of the sketches.

    Args:
        index: path.
        part, parts: which part of the sketches, and of how many.
        sketch_size, sketches: s and k.
        min_similarity: pairs with a smaller overlap of words are dropped.
        code: digest of the code, part of the lineage.
    """
    made_with = lineage("collisions", lineage_of(index, "index"), sketch_size, sketches, min_similarity, seed, code)
    with artefact.Reader(index, "index") as reader:
        words = BagOfWords(*(reader.map(name) for name in BagOfWords._fields))
    pairs, similarity = collide(words, sketch_size, range(part, sketches, parts), min_similarity, seed, threads)
    params = {"sketch_size": sketch_size, "sketches": sketches, "min_similarity": min_similarity, "seed": seed, "lineage": made_with}
    artefact.write(out, "collisions", {"pair": pairs, "similarity": similarity, **photos_of(index)}, params)


class BagOfWords(NamedTuple):
    """The words of n photos, both ways; a word may be in a photo more than once.

    Attributes:
        offset, word: int64 [n + 1], uint32 [N]: of every photo its words, sorted.
        word_offset, photo: int64 [K + 1], int32 [N]: of every word its photos, sorted.
        idf: float32 [K].
    """

    offset: np.ndarray
    word: np.ndarray
    word_offset: np.ndarray
    photo: np.ndarray
    idf: np.ndarray


def collide(words, sketch_size, sketches, min_similarity, seed, threads):
    """Pairs (a < b), int32 [m, 2] sorted, of photos that share one of the sketches, and their overlap, float32 [m].

    Args:
        words: `QuantisedFeatures`.
        sketches: numbers of the sketches.
        min_similarity: see `collide_sketches`. What it drops is never in memory for more than some sketches.
    """
    hasher = Hasher(words, seed)

    def pairs_of(sketch):
        return _equal_columns(np.stack([hasher.hashes(sketch * sketch_size + i) for i in range(sketch_size)]))

    offset, word, _, _, idf = words
    codes, similarity = np.zeros(0, np.int64), np.zeros(0, np.float32)
    with thread_pool(threads) as pool:
        for start in progress(range(0, len(sketches), _AT_ONCE), "min-hash"):
            new = np.setdiff1d(np.concatenate(list(pool.map(pairs_of, sketches[start : start + _AT_ONCE]))), codes)
            parts = np.array_split(_pairs(new), threads)
            overlaps = np.concatenate(list(pool.map(lambda pairs: overlap(pairs, offset, word, idf), parts)))
            codes = np.concatenate([codes, new[overlaps >= min_similarity]])
            similarity = np.concatenate([similarity, overlaps[overlaps >= min_similarity]])
    order = np.argsort(codes)
    return _pairs(codes[order]), similarity[order]


def _pairs(codes):
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], 1).astype(np.int32)


class Hasher:
    """The hash functions of a collection's words."""

    def __init__(self, words, seed):
        self._words, self._seed = words, seed
        self._scale = (1.0 / np.maximum(words.idf, 1e-6)).astype(np.float32)
        # P(value < bound) = 1 - exp(-bound idf), which is bound idf where it is small.
        weight = float(np.dot(np.diff(words.word_offset), words.idf.astype(np.float64)))
        self._bound = np.float32(_POSTINGS * (len(words.offset) - 1) / max(weight, 1e-6))
        self._least = np.exp(-self._bound / self._scale.astype(np.float64)) - _SLACK

    def hashes(self, number):
        """Word of the smallest value of every photo under one hash function, the first of equals: uint32 [n] (2^32 - 1 for a photo
        without words).
        """
        start = np.uint64(_start(self._seed, number))
        word, value = _small_values(start, self._scale, self._least, self._bound)
        found = np.full(len(self._words.offset) - 1, np.uint32(_NO_WORD))
        _go_through(word[np.argsort(value, kind="stable")], self._words.word_offset, self._words.photo, found)
        _look_at_all(start, self._scale, self._words.offset, self._words.word, found)
        return found


@numba.njit(cache=True, nogil=True)
def _start(seed, number):
    return np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(number + 1) * np.uint64(0xD1B54A32D192ED03)


@numba.njit(cache=True, nogil=True)
def _chance(start, word):
    """u of a word: splitmix64 (Steele, Lea, Flood, OOPSLA 2014) of (seed, number, word)."""
    z = start + np.uint64(word + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (np.float64(z >> np.uint64(11)) + 0.5) / 9007199254740992.0


@numba.njit(cache=True, nogil=True)
def _value(u, scale):
    """-ln(u) / idf, float32."""
    return np.float32(-np.log(u) * scale)


@numba.njit(cache=True, nogil=True)
def _small_values(start, scale, least, bound):
    """Words with values below the bound, ascending, and these values; below `least` no u has one."""
    words, values = [np.uint32(0) for _ in range(0)], [np.float32(0) for _ in range(0)]
    for word in range(len(scale)):
        u = _chance(start, word)
        if u > least[word]:
            value = _value(u, scale[word])
            if value < bound:
                words.append(np.uint32(word))
                values.append(value)
    return np.array(words, np.uint32), np.array(values, np.float32)


@numba.njit(cache=True, nogil=True)
def _go_through(words, word_offset, photo, found):
    """Note the first of the words that every photo has."""
    for word in words:
        for k in range(word_offset[word], word_offset[word + 1]):
            if found[photo[k]] == _NO_WORD:
                found[photo[k]] = word


@numba.njit(cache=True, nogil=True)
def _look_at_all(start, scale, offset, word, found):
    """Note the word of the smallest value of every photo that has none yet."""
    for photo in range(len(found)):
        if found[photo] == _NO_WORD:
            smallest = np.float32(np.inf)
            for k in range(offset[photo], offset[photo + 1]):
                value = _value(_chance(start, word[k]), scale[word[k]])
                if value < smallest:
                    smallest, found[photo] = value, word[k]


def _equal_columns(keys):
    """Codes a << 32 | b of all pairs a < b of equal columns; columns without words, and crowds, are left out."""
    order = np.lexsort(keys)
    differs = np.ones(len(order) + 1, bool)
    differs[1:-1] = (keys[:, order[1:]] != keys[:, order[:-1]]).any(0)
    bounds = np.flatnonzero(differs)
    sizes = np.diff(bounds)
    shared = (sizes > 1) & (sizes <= _LARGEST_BUCKET) & (keys[0, order[bounds[:-1]]] != _NO_WORD)
    return _codes(order, bounds[:-1][shared], sizes[shared])


@numba.njit(cache=True, nogil=True)
def _codes(order, starts, sizes):
    """Codes of all pairs of photos within the runs of `order`, whose photos ascend (`lexsort` is stable)."""
    codes = np.empty((sizes * (sizes - 1) // 2).sum(), np.int64)
    count = 0
    for run in range(len(starts)):
        stop = starts[run] + sizes[run]
        for i in range(starts[run], stop):
            for j in range(i + 1, stop):
                codes[count] = (order[i] << 32) | order[j]
                count += 1
    return codes


@numba.njit(cache=True, nogil=True)
def overlap(pairs, offset, word, idf):
    """Exact idf-weighted overlap of the word sets of pairs, float32 [m]."""
    result = np.zeros(len(pairs), np.float32)
    for m in range(len(pairs)):
        i, i_end = offset[pairs[m, 0]], offset[pairs[m, 0] + 1]
        j, j_end = offset[pairs[m, 1]], offset[pairs[m, 1] + 1]
        common = union = 0.0
        while i < i_end or j < j_end:
            if j >= j_end or (i < i_end and word[i] < word[j]):
                now = word[i]
            else:
                now = word[j]
            in_a = in_b = False
            while i < i_end and word[i] == now:
                in_a = True
                i += 1
            while j < j_end and word[j] == now:
                in_b = True
                j += 1
            union += idf[now]
            if in_a and in_b:
                common += idf[now]
        result[m] = common / union if union > 0 else 0.0
    return result
