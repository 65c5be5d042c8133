"""Min-hash seeds: pairs of photos with overlapping word sets, found without comparing every pair.

Chum and Matas, Large-scale discovery of spatially related images, PAMI 2010. The hash of a photo is the word that minimises
-ln(u) / idf(word), u uniform and a function of word and hash number: two photos then agree with a probability equal to the
idf-weighted overlap of their word sets, sum idf over the common words / sum idf over all words (section 3.2). A sketch is s such
hashes; photos that share one of k sketches collide, which happens with probability 1 - (1 - x^s)^k at overlap x.
"""

import numba
import numpy as np

from bow2cnn import artefact
from bow2cnn.parallel import thread_pool
from bow2cnn.photos import photos_of
from bow2cnn.progress import progress
from bow2cnn.reuse import lineage, lineage_of

_LARGEST_BUCKET = 200  # photos with one sketch; more than this is a mark that nobody saw or a blank page
_NO_WORD = 0xFFFFFFFF
_AT_ONCE = 16  # sketches whose pairs are in memory together


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
        offset, word, idf = (reader.map(name) for name in ("offset", "word", "idf"))
    pairs, similarity = collide(offset, word, idf, sketch_size, range(part, sketches, parts), min_similarity, seed, threads)
    params = {"sketch_size": sketch_size, "sketches": sketches, "min_similarity": min_similarity, "seed": seed, "lineage": made_with}
    artefact.write(out, "collisions", {"pair": pairs, "similarity": similarity, **photos_of(index)}, params)


def collide(offset, word, idf, sketch_size, sketches, min_similarity, seed, threads):
    """Pairs (a < b), int32 [m, 2] sorted, of photos that share one of the sketches, and their overlap, float32 [m].

    Args:
        offset, word: the words of every photo, sorted; a word may be there more than once.
        sketches: numbers of the sketches.
        min_similarity: see `collide_sketches`. What it drops is never in memory for more than some sketches.
    """
    scale = (1.0 / np.maximum(idf, 1e-6)).astype(np.float32)

    def pairs_of(sketch):
        keys = np.empty((sketch_size, len(offset) - 1), np.uint32)
        for i in range(sketch_size):
            keys[i] = min_words(offset, word, _hash_values(len(idf), seed, sketch * sketch_size + i, scale))
        return _equal_columns(keys)

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


@numba.njit(cache=True, nogil=True)
def _hash_values(words, seed, number, scale):
    """-ln(u) / idf of every word for one hash function; u from splitmix64 of (seed, number, word)."""
    values = np.empty(words, np.float32)
    start = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(number + 1) * np.uint64(0xD1B54A32D192ED03)
    for i in range(words):
        z = start + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        u = (np.float64(z >> np.uint64(11)) + 0.5) / 9007199254740992.0
        values[i] = -np.log(u) * scale[i]
    return values


@numba.njit(cache=True, nogil=True)
def min_words(offset, word, values):
    """Word of the smallest value of every photo, uint32 [n] (2^32 - 1 for a photo without words)."""
    result = np.full(len(offset) - 1, np.uint32(_NO_WORD))
    for photo in range(len(offset) - 1):
        smallest = np.float32(np.inf)
        for k in range(offset[photo], offset[photo + 1]):
            if values[word[k]] < smallest:
                smallest = values[word[k]]
                result[photo] = word[k]
    return result


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
