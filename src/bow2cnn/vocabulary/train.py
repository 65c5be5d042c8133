"""Training of the visual vocabulary on a bounded sample of the collection's features."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numba
import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.lineage import lineage
from bow2cnn.core.progress import progress
from bow2cnn.features.distances import distance_pool
from bow2cnn.vocabulary.binary_signature import SIGNATURE_BITS
from bow2cnn.vocabulary.kmeans import kmeans
from bow2cnn.vocabulary.sample import count_features, sample_descriptors
from bow2cnn.vocabulary.vocabulary import Vocabulary, nearest_cells

_POINTS_PER_WORD = 30  # faiss advises 39 to 256 for k-means; with fewer than 30, words turn into noise
_POINTS_PER_CELL = 256  # largest number of points from which a coarse cell is found; faiss's own limit
_FEATURES_PER_WORD = 64  # where the number of words follows the number of features in the collection
_FEWEST, _MOST = 1 << 14, 1 << 20  # limits of that number of words
_AT_ONCE = 1 << 20  # descriptors whose words are found together


def train_vocabulary(
    features: Sequence[str | Path], out: str | Path, words: int, sample: int, iterations: int, seed: int, threads: int
) -> None:
    """Write the `vocabulary` artefact: a vocabulary in two levels (coarse cells, each divided into fine words), with the projection and the
    thresholds of binary signatures (Hamming embedding: Jegou, Douze, Schmid, ECCV 2008, section 3.1).

    Args:
        features: paths of the `features` artefacts.
        out: path.
        words: wanted number of words; reduced where the sample has fewer than 30 descriptors per word. 0 chooses it by `words_for`.
        sample: maximum number of descriptors to train on; no more than 30 per word are used.
        iterations: iterations of k-means.
        seed: of the random numbers.
        threads: library threads.

    Raises:
        EmptyStageError: fewer than two photos have local features, or there are too few features for two words.
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
        content.update(array.data)
    artefact.write(out, "vocabulary", vocabulary.arrays(), {**params, "lineage": lineage("vocabulary", content.hexdigest())})


def train_words(descriptors: np.ndarray, words: int, iterations: int, seed: int, threads: int) -> Vocabulary:
    """Train a vocabulary whose coarse cells have about as many fine words each as there are cells.

    Args:
        descriptors: uint8 [n, 128], in random order.
        words: approximate number of words.
        iterations: iterations of k-means.
        seed: of the projection.
        threads: library threads.
    """
    cells = max(1, round(np.sqrt(words)))
    fine_words = max(1, words // cells)
    coarse = kmeans(descriptors[: cells * _POINTS_PER_CELL], cells, iterations, threads)
    coarse, fine, size = _train_fine(descriptors, coarse, fine_words, iterations, threads)
    vocabulary = Vocabulary(coarse, fine, size, _random_rotation(seed), threads=threads)
    vocabulary.threshold = _medians(vocabulary, descriptors)
    return vocabulary


def _check_photos(features):
    """Stop where fewer than two photos have features: words of a single photo would only hide that nothing can be found."""
    counts, errors = [], []
    for path in features:
        arrays = artefact.read(path, "features", ["offset", "error"])
        counts += np.diff(arrays["offset"]).tolist()
        errors += [error for error in arrays["error"] if error]
    seen = np.count_nonzero(counts)
    if seen < 2:
        broken = f" ({len(errors)} could not be read, such as: {errors[0]})" if errors else ""
        raise EmptyStageError(
            f"vocabulary: {seen} of {len(counts)} photos has local features{broken}; at least two are needed to find photos of one thing, "
            "so add photos"
        )


def words_for(features: int) -> int:
    """Number of words for a number of features: the power of two nearest to one word per 64 features, between 2^14 and 2^20."""
    return int(np.clip(2.0 ** np.round(np.log2(max(features, 1) / _FEATURES_PER_WORD)), _FEWEST, _MOST))


def _train_fine(descriptors, coarse, fine_words, iterations, threads):
    """Run k-means inside every coarse cell.

    Returns:
        the centroids of the cells that have descriptors, uint8 [c, 128]; their fine centroids, uint8 [c, f, 128]; and the number of fine
        centroids of each cell, int32 [c] (fewer than f where the cell has fewer descriptors).
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
    """Call `look_up` for a block of descriptors at a time; its results, int [n]."""
    starts = range(0, len(descriptors), _AT_ONCE)
    return np.concatenate([look_up(descriptors[start : start + _AT_ONCE]) for start in progress(starts, progress_label)])


def _rows_of(group, numbers):
    """Yield the rows of each of some groups.

    Args:
        group: group of every row, int [n].
        numbers: groups, sorted, int [g].
    """
    order = np.argsort(group, kind="stable")
    starts, stops = (np.searchsorted(group[order], numbers, side) for side in ("left", "right"))
    return (order[start:stop] for start, stop in zip(starts, stops, strict=True))


def _random_rotation(seed):
    normal = np.random.default_rng([seed, 2]).standard_normal((128, 128))
    q, r = np.linalg.qr(normal)
    return (q * np.sign(np.diag(r)))[:SIGNATURE_BITS].astype(np.float32)


def _medians(vocabulary, descriptors):
    """Median of every projected component in every word, float16 [K, 64]; for words without descriptors, the values of their centroid."""
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
    """Set each row of `medians` [f, 64] to the medians of rows bounds[row] to bounds[row + 1] of `values` [n, 64], where there are any."""
    for word in range(len(medians)):
        start, stop = bounds[word], bounds[word + 1]
        if stop > start:
            for bit in range(values.shape[1]):
                medians[word, bit] = np.median(values[start:stop, bit])
