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
from bow2cnn.retrieval.engine import Engine
from bow2cnn.reuse import lineage, lineage_of

_LARGEST_BUCKET = 200  # photos with one sketch; more than this is a mark that nobody saw or a blank page


def find_seeds(index, out, sketch_size, sketches, min_similarity, max_hamming, min_inliers, seed, threads, code=""):
    """Write the `seeds` artefact: colliding pairs that geometry confirms.

    Args:
        index: path.
        sketch_size, sketches: s and k.
        min_similarity: pairs with a smaller overlap of words are dropped before verification.
        min_inliers: verified inliers of a seed.
        code: digest of the code, part of the lineage.
    """
    made_with = lineage("seeds", lineage_of(index, "index"), sketch_size, sketches, min_similarity, max_hamming, min_inliers, seed, code)
    engine = Engine.load(index, max_hamming)
    offset, word = word_sets(engine)
    pairs = collide(offset, word, engine.idf, sketch_size, sketches, seed, threads)
    similarity = overlap(pairs, offset, word, engine.idf)
    pairs, similarity = pairs[similarity >= min_similarity], similarity[similarity >= min_similarity]
    inliers = _verify(engine, pairs, threads)
    keep = inliers >= min_inliers
    arrays = {
        "pair": pairs[keep],
        "similarity": similarity[keep],
        "inliers": inliers[keep],
        "collisions": np.int64(len(pairs)),
        **photos_of(index),
    }
    params = {"sketch_size": sketch_size, "sketches": sketches, "min_similarity": min_similarity, "min_inliers": min_inliers, "seed": seed}
    artefact.write(out, "seeds", arrays, {**params, "lineage": made_with})


def word_sets(engine):
    """Sorted distinct words of every photo: offset int64 [n + 1], word uint32."""
    sets = [np.unique(engine.words(photo).word) for photo in range(len(engine))]
    return artefact.offsets([len(words) for words in sets]), np.concatenate([np.zeros(0, np.uint32), *sets])


def collide(offset, word, idf, sketch_size, sketches, seed, threads):
    """Pairs (a < b), int32 [m, 2] sorted, of photos that share at least one sketch."""
    scale = (1.0 / np.maximum(idf, 1e-6)).astype(np.float32)

    def pairs_of(sketch):
        keys = np.empty((sketch_size, len(offset) - 1), np.uint32)
        for i in range(sketch_size):
            keys[i] = min_words(offset, word, _hash_values(len(idf), seed, sketch * sketch_size + i, scale))
        return _equal_columns(keys)

    with thread_pool(threads) as pool:
        found = list(progress(pool.map(pairs_of, range(sketches)), "min-hash", sketches))
    codes = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
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
    result = np.full(len(offset) - 1, np.uint32(0xFFFFFFFF))
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
    codes = [np.zeros(0, np.int64)]
    for start, size in zip(bounds[:-1][sizes > 1], sizes[sizes > 1], strict=True):
        members = np.sort(order[start : start + size])
        if size <= _LARGEST_BUCKET and keys[0, members[0]] != 0xFFFFFFFF:
            a, b = np.triu_indices(size, 1)
            codes.append((members[a].astype(np.int64) << 32) | members[b])
    return np.concatenate(codes)


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
                union += idf[word[i]]
                i += 1
            elif i >= i_end or word[j] < word[i]:
                union += idf[word[j]]
                j += 1
            else:
                union += idf[word[i]]
                common += idf[word[i]]
                i += 1
                j += 1
        result[m] = common / union if union > 0 else 0.0
    return result


def _verify(engine, pairs, threads):
    """Verified inliers of every pair, int32 [m]; pairs of one first photo go together."""
    bounds = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1, append=-1))

    def inliers_of(part):
        start, stop = part
        return engine.verify_all(engine.words(pairs[start, 0]), pairs[start:stop, 1])[0]

    with thread_pool(threads) as pool:
        found = list(pool.map(inliers_of, zip(bounds[:-1], bounds[1:], strict=True)))
    return np.concatenate([np.zeros(0, np.int32), *found])
