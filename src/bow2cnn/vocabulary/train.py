"""Training of the visual vocabulary on a bounded sample of the collection's features."""

import hashlib

import numpy as np

from bow2cnn import artefact
from bow2cnn.nothing import NothingFound
from bow2cnn.progress import progress
from bow2cnn.reuse import lineage
from bow2cnn.vocabulary.kmeans import kmeans, nearest
from bow2cnn.vocabulary.vocabulary import SIGNATURE_BITS, Vocabulary

_POINTS_PER_WORD = 30  # faiss's own advice for a sound k-means lies between 39 and 256; below 30 words turn into noise


def train_vocabulary(features, out, words, sample, iterations, seed, threads):
    """Write the `vocabulary` artefact: a two-level vocabulary (coarse cells, each cut into fine words) with the projection and the
    thresholds of binary signatures (Hamming embedding: Jegou, Douze, Schmid, ECCV 2008, section 3.1).

    Args:
        features: paths of the `features` artefacts.
        words: wanted number of words, made smaller where the sample has fewer than 30 descriptors a word.
        sample: number of descriptors to train on, at most.
        iterations: of k-means.

    Raises:
        NothingFound: fewer than two photos have local features, or all of them together too few.
    """
    _check_photos(features)
    descriptors = sample_descriptors(features, sample, seed)
    if len(descriptors) < 2 * _POINTS_PER_WORD:
        raise NothingFound(
            f"vocabulary: only {len(descriptors)} local features in the whole collection, {2 * _POINTS_PER_WORD} are needed for two words; "
            "add photos with more texture or more pixels"
        )
    words = min(words, len(descriptors) // _POINTS_PER_WORD)
    cells = max(1, round(np.sqrt(words)))
    fine_words = max(1, words // cells)
    coarse = kmeans(descriptors, cells, iterations, seed, threads)
    fine = _train_fine(descriptors, coarse, fine_words, iterations, seed, threads)
    projection = _random_rotation(seed)
    vocabulary = Vocabulary(coarse, fine, projection, np.zeros((cells * fine_words, SIGNATURE_BITS), np.float32), threads)
    threshold = _medians(vocabulary, descriptors)
    arrays = {"coarse": coarse, "fine": fine, "projection": projection, "threshold": threshold}
    params = {"words": cells * fine_words, "sample": len(descriptors), "iterations": iterations, "seed": seed}
    # Words are the same under the same vocabulary, whatever photos it was trained on.
    content = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())).hexdigest()
    artefact.write(out, "vocabulary", arrays, {**params, "lineage": lineage("vocabulary", content)})


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
        raise NothingFound(
            f"vocabulary: {seen} of {len(counts)} photos has local features{broken}; two photos of one thing are the least that can be "
            "found, so add photos"
        )


def sample_descriptors(features, sample, seed):
    """At most `sample` descriptors, float32 [n, 128], spread evenly over all files."""
    readers = [artefact.Reader(path, "features") for path in features]
    total = sum(reader.shape("descriptor")[0] for reader in readers)
    share = min(1.0, sample / max(total, 1))
    chosen = []
    for number, reader in enumerate(readers):
        with reader:
            descriptors = reader["descriptor"]
        count = round(len(descriptors) * share)
        rows = np.random.default_rng([seed, 1, number]).choice(len(descriptors), count, replace=False)
        chosen.append(descriptors[np.sort(rows)])
    return np.concatenate([np.zeros((0, 128), np.uint8), *chosen]).astype(np.float32)


def _train_fine(descriptors, coarse, fine_words, iterations, seed, threads):
    """k-means inside every coarse cell, float32 [c, f, 128]; a cell with too few points repeats its points' mean far away."""
    cell = nearest(descriptors, coarse, threads)
    order = np.argsort(cell, kind="stable")
    bounds = np.searchsorted(cell[order], np.arange(len(coarse) + 1))
    fine = np.empty((len(coarse), fine_words, descriptors.shape[1]), np.float32)
    for i in progress(range(len(coarse)), "vocabulary"):
        points = descriptors[order[bounds[i] : bounds[i + 1]]]
        fine[i] = kmeans(points, fine_words, iterations, seed + i, threads)
    return fine


def _random_rotation(seed):
    normal = np.random.default_rng([seed, 2]).standard_normal((128, 128))
    q, r = np.linalg.qr(normal)
    return (q * np.sign(np.diag(r)))[:SIGNATURE_BITS].astype(np.float32)


def _medians(vocabulary, descriptors):
    """Median of every projected component within every word, float32 [K, 64]; words without points take their centre's values."""
    word = vocabulary.assign(descriptors)
    projected = descriptors @ vocabulary.projection.T
    threshold = vocabulary.centroids() @ vocabulary.projection.T
    order = np.argsort(word, kind="stable")
    starts = np.flatnonzero(np.diff(word[order], prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        threshold[word[order[start]]] = np.median(projected[order[start:stop]], axis=0)
    return threshold.astype(np.float32)
