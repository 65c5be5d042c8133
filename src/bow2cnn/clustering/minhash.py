"""Min-hash seeds: pairs of photos with overlapping word sets, found without comparing every pair.

Chum and Matas, Large-scale discovery of spatially related images, PAMI 2010. The hash of a photo is the word that minimises
-ln(u) / idf(word), u uniform and a function of word and hash number: two photos then agree with a probability equal to the
idf-weighted overlap of their word sets, sum idf over the common words / sum idf over all words (section 3.2). A sketch is s such
hashes; photos that share one of k sketches collide, which happens with probability 1 - (1 - x^s)^k at overlap x.

Words are visited in the order of increasing hash values, with their postings. Nearly every photo contains one of the first few words; only
the other photos scan all of their words. So a hash needs a few postings per photo instead of hundreds of words.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import photos_of

_LARGEST_BUCKET = 200  # photos with one sketch; a larger bucket is an undetected watermark or a blank page
_NO_WORD = 0xFFFFFFFF
_AT_ONCE = 16  # sketches whose pairs are in memory at the same time
_POSTINGS = 9.0  # expected postings visited per photo; a fraction exp(-9) of the photos has to scan all of its words
_SLACK = 1e-6  # rounding error of a probability that is computed in two ways


def collide_sketches(
    index: str | Path,
    out: str | Path,
    part: int,
    parts: int,
    sketch_size: int,
    sketches: int,
    min_similarity: float,
    seed: int,
    threads: int,
    code: str = "",
) -> None:
    """Write the `collisions` artefact: the pairs of photos that share a sketch, for one part of the sketches.

    Args:
        index: path of the `index` artefact.
        out: path of the artefact to write.
        part: number of this part; parts: number of parts.
        sketch_size: s, hashes per sketch; sketches: k, sketches per photo.
        min_similarity: pairs with a smaller overlap of words are dropped.
        seed: of the hash functions.
        threads: worker threads; the result does not depend on their number.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: the index cannot be used.
        WriteError: the disk is full or not writable.
    """
    made_with = lineage("collisions", lineage_of(index, "index"), sketch_size, sketches, min_similarity, seed, code)
    with artefact.Reader(index, "index") as reader:
        words = BagOfWords(*(reader.map(name) for name in BagOfWords._fields))
    pairs, similarity = collide(words, sketch_size, range(part, sketches, parts), min_similarity, seed, threads)
    params = {"sketch_size": sketch_size, "sketches": sketches, "min_similarity": min_similarity, "seed": seed, "lineage": made_with}
    artefact.write(out, "collisions", {"pair": pairs, "similarity": similarity, **photos_of(index)}, params)


class BagOfWords(NamedTuple):
    """The words of n photos as a forward and an inverted file. A photo may have a word more than once.

    Attributes:
        offset, word: int64 [n + 1], uint32 [N]: the words of every photo, sorted.
        word_offset, photo: int64 [K + 1], int32 [N]: the photos of every word, sorted.
        idf: float32 [K].
    """

    offset: np.ndarray
    word: np.ndarray
    word_offset: np.ndarray
    photo: np.ndarray
    idf: np.ndarray


def collide(
    words: BagOfWords, sketch_size: int, sketches: Sequence[int], min_similarity: float, seed: int, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of photos that share one of the sketches.

    Args:
        words: of the photos.
        sketch_size: hashes per sketch.
        sketches: numbers of the sketches.
        min_similarity: pairs with a smaller overlap of words are dropped, at the latest after 16 sketches, to save memory.
        seed: of the hash functions.
        threads: worker threads; the result does not depend on their number.

    Returns:
        Pairs (a < b), int32 [m, 2] sorted, and their overlaps, float32 [m].
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
    """The hash functions of a collection's words.

    Args:
        words: of all photos.
        seed: of the hash functions.
    """

    def __init__(self, words: BagOfWords, seed: int) -> None:
        self._words, self._seed = words, seed
        self._scale = (1.0 / np.maximum(words.idf, 1e-6)).astype(np.float32)
        # P(value < bound) = 1 - exp(-bound idf), which is bound idf where it is small.
        weight = float(np.dot(np.diff(words.word_offset), words.idf.astype(np.float64)))
        self._bound = np.float32(_POSTINGS * (len(words.offset) - 1) / max(weight, 1e-6))
        self._least = np.exp(-self._bound / self._scale.astype(np.float64)) - _SLACK

    def hashes(self, number: int) -> np.ndarray:
        """The hash of every photo by one hash function: the word with the smallest value, among equal values the first.

        Args:
            number: of the hash function.

        Returns:
            uint32 [n]; 2^32 - 1 for a photo without words.
        """
        start = np.uint64(_start(self._seed, number))
        word, value = _small_values(start, self._scale, self._least, self._bound)
        found = np.full(len(self._words.offset) - 1, np.uint32(_NO_WORD))
        _visit_words(word[np.argsort(value, kind="stable")], self._words.word_offset, self._words.photo, found)
        _scan_photos(start, self._scale, self._words.offset, self._words.word, found)
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
    """Words with values below the bound, ascending, and these values. A word whose u is at most `least` has a larger value."""
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
def _visit_words(words, word_offset, photo, found):
    """Store in `found` the first of some words that each photo contains."""
    for word in words:
        for k in range(word_offset[word], word_offset[word + 1]):
            if found[photo[k]] == _NO_WORD:
                found[photo[k]] = word


@numba.njit(cache=True, nogil=True)
def _scan_photos(start, scale, offset, word, found):
    """Store in `found` the word with the smallest value of every photo that has no word there yet."""
    for photo in range(len(found)):
        if found[photo] == _NO_WORD:
            smallest = np.float32(np.inf)
            for k in range(offset[photo], offset[photo + 1]):
                value = _value(_chance(start, word[k]), scale[word[k]])
                if value < smallest:
                    smallest, found[photo] = value, word[k]


def _equal_columns(keys):
    """Codes a << 32 | b of all pairs a < b of equal columns, without columns of photos without words and too large buckets."""
    order = np.lexsort(keys)
    differs = np.ones(len(order) + 1, bool)
    differs[1:-1] = (keys[:, order[1:]] != keys[:, order[:-1]]).any(0)
    bounds = np.flatnonzero(differs)
    sizes = np.diff(bounds)
    shared = (sizes > 1) & (sizes <= _LARGEST_BUCKET) & (keys[0, order[bounds[:-1]]] != _NO_WORD)
    return _codes(order, bounds[:-1][shared], sizes[shared])


@numba.njit(cache=True, nogil=True)
def _codes(order, starts, sizes):
    """Codes of all pairs of photos within each run of `order`. The photos of a run ascend, because `lexsort` is stable."""
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
def overlap(pairs: np.ndarray, offset: np.ndarray, word: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """Exact idf-weighted overlap of the word sets of pairs of photos.

    Args:
        pairs: int32 [m, 2].
        offset, word, idf: see `BagOfWords`.

    Returns:
        float32 [m].
    """
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
