"""The teacher's rankings on a benchmark: every query against the database of the benchmark."""

from pathlib import Path

import numpy as np

from bow2cnn.benchmarks.truth import read_truth
from bow2cnn.core import artefact
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.index.engine import Engine
from bow2cnn.index.forward import ForwardIndex, drop_features
from bow2cnn.index.invert import index_arrays
from bow2cnn.index.region import in_region
from bow2cnn.index.watermarks import watermark_features
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, Ranking, search

LISTS = ("plain", "sv", "sv+qe")


def rank_benchmark(
    vocabulary: str | Path,
    collection: str | Path,
    features: str | Path,
    truth: str | Path,
    out: str | Path,
    soft_words: int,
    shortlist: int,
    max_hamming: int,
    min_inliers: int,
    max_expansion: int,
    expansion_inliers: int,
    min_photos: int,
    seed: int,
    threads: int,
) -> None:
    """Write the `ranking` artefact of a benchmark: the lists `plain`, `sv` and `sv+qe` of every query (see `search`). Photos are rows of
    the benchmark's collection.

    Args:
        vocabulary: path of the vocabulary, which was trained on the collection of the run, not on the benchmark.
        collection, features, truth: paths of the benchmark's photos, their features and its truth.
        out: path.
        soft_words: number of words per feature of a query.
        shortlist, max_expansion, expansion_inliers: see `search`.
        min_inliers: number of inliers from which geometry counts in the ranking; 0 for `MIN_EVIDENCE`.
        max_hamming: see `Engine`.
        min_photos: see `watermark_features`.
        seed: of the watermarks.
        threads: library threads.

    Raises:
        ArtefactError: the artefacts are not of the same photos, or one cannot be read.
        WriteError: the disk is full or not writable.
    """
    photos = BenchmarkPhotos(vocabulary, collection, features, threads)
    check_photos(collection, truth)
    known = read_truth(truth)
    queries, database = known.query, known.database
    engine = Engine(_database_index(photos, database, max_hamming, min_photos, seed), max_hamming)
    found: dict[str, list[Ranking]] = {name: [] for name in LISTS}
    for number, row in enumerate(progress(queries, "teacher")):
        words = in_region(photos.query(row, soft_words), known.region_of(number))
        rankings = search(engine, words, shortlist, min_inliers or MIN_EVIDENCE, max_expansion, expansion_inliers)
        for name in LISTS:
            found[name].append(rankings[name])
    arrays = {"query": queries.astype(np.int32), **photos_of(collection)}
    for name, ranked in found.items():
        arrays[f"{name}/offset"] = artefact.offsets([len(ranking.photo) for ranking in ranked])
        arrays[f"{name}/photo"] = np.concatenate([database[ranking.photo] for ranking in ranked]).astype(np.int32)
        arrays[f"{name}/score"] = np.concatenate([ranking.score for ranking in ranked])
        arrays[f"{name}/inliers"] = np.concatenate([ranking.inliers for ranking in ranked])
    params = {"soft_words": soft_words, "shortlist": shortlist, "min_inliers": min_inliers}
    params |= {"max_expansion": max_expansion, "expansion_inliers": expansion_inliers}
    artefact.write(out, "ranking", arrays, params)


def _database_index(photos, database, max_hamming, min_photos, seed):
    """The arrays of an index of the database, without the features of watermarks, as in that of the collection."""
    forward, size = photos.forward(database), photos.size[database]
    masked = watermark_features(ForwardIndex(forward), size, max_hamming, min_photos, seed)[1]
    return index_arrays(drop_features(forward, ~masked), size, len(photos.vocabulary))
