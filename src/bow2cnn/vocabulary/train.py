"""Training of the visual vocabulary on a bounded sample of the collection's features."""

import hashlib

import numba
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.lineage import lineage
from bow2cnn.core.progress import progress
from bow2cnn.features.distances import distance_pool
from bow2cnn.vocabulary.kmeans import kmeans
from bow2cnn.vocabulary.sample import count_features, sample_descriptors
from bow2cnn.vocabulary.vocabulary import SIGNATURE_BITS, Vocabulary, nearest_cells

_POINTS_PER_WORD = 30  # faiss's own advice for a sound k-means lies between 39 and 256; below 30 words turn into noise
_POINTS_PER_CELL = 256  # from how many points at most a coarse cell is found; faiss's own limit
_FEATURES_PER_WORD = 64  # of the collection, where the number of words follows it
_FEWEST, _MOST = 1 << 14, 1 << 20  # words of such a vocabulary
_AT_ONCE = 1 << 20  # descriptors that are looked up together


def train_vocabulary(features, out, words, sample, iterations, seed, threads):
    """Write the `vocabulary` artefact: a two-level vocabulary (coarse cells, each cut into fine words) with the projection and the
    thresholds of binary signatures (Hamming embedding: Jegou, Douze, Schmid, ECCV 2008, section 3.1).

    Args:
        features: paths of the `features` artefacts.
        words: wanted number of words, made smaller where the sample has fewer than 30 descriptors a word; 0 for `words_for` of them.
        sample: number of descriptors to train on, at most; 30 for every word are enough.
        iterations: of k-means.

    Raises:
        EmptyStageError: fewer than two photos have local features, or all of them together too few.
    """
    _check_photos(features)
    words = words or words_for(count_features(features))
    descriptors = sample_descriptors(features, min(sample, words * _POINTS_PER_WORD), seed)
    if len(descriptors) < 2 * _POINTS_PER_WORD:
        raise EmptyStageError(
            f"vocabulary: only {len(descriptors)} local features in the whole collection, {2 * _POINTS_PER_WORD} are needed for two words; "
            "add photos with more texture or more pixels"
        )
    vocabulary = train_words(descriptors, min(words, len(descriptors) // _POINTS_PER_WORD), iterations, seed, threads)
    params = {"words": len(vocabulary), "sample": len(descriptors), "iterations": iterations, "seed": seed}
    # Words are the same under the same vocabulary, whatever photos it was trained on.
    content = hashlib.sha256()
    for array in vocabulary.arrays().values():
        content.update(array)
    artefact.write(out, "vocabulary", vocabulary.arrays(), {**params, "lineage": lineage("vocabulary", content.hexdigest())})


def train_words(descriptors, words, iterations, seed, threads):
    """A `Vocabulary` of about so many words, as many fine ones in a coarse cell as there are cells.

    Args:
        descriptors: uint8 [n, 128], in random order.
    """
    cells = max(1, round(np.sqrt(words)))
    fine_words = max(1, words // cells)
    coarse = kmeans(descriptors[: cells * _POINTS_PER_CELL], cells, iterations, threads)
    coarse, fine, size = _train_fine(descriptors, coarse, fine_words, iterations, threads)
    vocabulary = Vocabulary(coarse, fine, size, _random_rotation(seed), threads=threads)
    vocabulary.threshold = _medians(vocabulary, descriptors)
    return vocabulary


def _check_photos(features):
    """Nothing can be found in a single photo, and words of its own would only hide that until later."""
    counts, errors = [], []
    for path in features:
        arrays = artefact.read(path, "features", ["offset", "error"])
        counts += np.diff(arrays["offset"]).tolist()
        errors += [error for error in arrays["error"] if error]
    seen = np.count_nonzero(counts)
    if seen < 2:
        broken = f" ({len(errors)} could not be read, such as: {errors[0]})" if errors else ""
        raise EmptyStageError(
            f"vocabulary: {seen} of {len(counts)} photos has local features{broken}; two photos of one thing are the least that can be "
            "found, so add photos"
        )


def words_for(features):
    """Number of words for a collection of so many features: the power of two nearest to one for 64 features, from 2^14 to 2^20."""
    return int(np.clip(2.0 ** np.round(np.log2(max(features, 1) / _FEATURES_PER_WORD)), _FEWEST, _MOST))


def _train_fine(descriptors, coarse, fine_words, iterations, threads):
    """k-means inside every coarse cell: the cells that have descriptors uint8 [c, 128], their fine centroids uint8 [c, f, 128] and how many
    of these each has, int32 [c] (fewer than f where it has fewer descriptors).
    """
    with distance_pool(threads) as pool:
        cell = _in_blocks(lambda block: nearest_cells(block, coarse, 1, pool)[:, 0], descriptors, progress_label="vocabulary: cells")
    size = np.minimum(np.bincount(cell, minlength=len(coarse)), fine_words).astype(np.int32)
    used = np.flatnonzero(size)
    fine = np.zeros((len(used), fine_words, descriptors.shape[1]), np.uint8)
    for i, rows in progress(zip(range(len(used)), _rows_of(cell, used), strict=True), "vocabulary: words", len(used)):
        fine[i, : size[used[i]]] = kmeans(descriptors[rows], fine_words, iterations, threads)
    return coarse[used], fine, size[used]


def _in_blocks(look_up, descriptors, progress_label):
    """What `look_up` finds for very many descriptors, int [n]."""
    starts = range(0, len(descriptors), _AT_ONCE)
    return np.concatenate([look_up(descriptors[start : start + _AT_ONCE]) for start in progress(starts, progress_label)])


def _rows_of(group, numbers):
    """Rows of each of the groups with these (sorted) numbers, in order."""
    order = np.argsort(group, kind="stable")
    starts, stops = (np.searchsorted(group[order], numbers, side) for side in ("left", "right"))
    return (order[start:stop] for start, stop in zip(starts, stops, strict=True))


def _random_rotation(seed):
    normal = np.random.default_rng([seed, 2]).standard_normal((128, 128))
    q, r = np.linalg.qr(normal)
    return (q * np.sign(np.diag(r)))[:SIGNATURE_BITS].astype(np.float32)


def _medians(vocabulary, descriptors):
    """Median of every projected component within every word, float16 [K, 64]; words without points take their centre's values."""
    word, projection = _in_blocks(vocabulary.assign, descriptors, progress_label="vocabulary: signatures"), vocabulary.projection.T
    cells, fine_words, _ = vocabulary.fine.shape
    threshold = np.empty((cells, fine_words, SIGNATURE_BITS), np.float16)
    for cell, rows in enumerate(_rows_of(word // fine_words, np.arange(cells))):
        medians = vocabulary.fine[cell].astype(np.float32) @ projection
        row_of_word = word[rows] % fine_words
        order = np.argsort(row_of_word, kind="stable")
        bounds = np.searchsorted(row_of_word[order], np.arange(fine_words + 1))
        _take_medians(descriptors[rows[order]].astype(np.float32) @ projection, bounds, medians)
        threshold[cell] = medians
    return threshold.reshape(-1, SIGNATURE_BITS)


@numba.njit(cache=True, nogil=True)
def _take_medians(values, bounds, medians):
    """Fill rows of `medians` [f, 64] with those of their rows of `values` [n, 64], where they have some."""
    for word in range(len(medians)):
        start, stop = bounds[word], bounds[word + 1]
        if stop > start:
            for bit in range(values.shape[1]):
                medians[word, bit] = np.median(values[start:stop, bit])
