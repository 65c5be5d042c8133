"""The teacher evaluated: every query of a benchmark against the benchmark's own database."""

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
from bow2cnn.retrieval.verified_search import EVIDENCE, search

LISTS = ("plain", "sv", "sv+qe")


def rank_benchmark(
    vocabulary, collection, features, truth, out,
    soft_words, shortlist, max_hamming, min_inliers, max_expansion, expansion_inliers, min_photos, seed, threads,
):  # fmt: skip
    """Write the `ranking` artefact of a benchmark: lists `plain`, `sv`, `sv+qe`, photos as rows of the benchmark's collection.

    Args:
        vocabulary: path; it was trained on the collection, never on the benchmark.
        collection, features, truth: paths of the benchmark's photos, their features and its truth.
        soft_words: words of every feature of a query.
        shortlist, max_expansion, expansion_inliers: see `search`.
        min_inliers: from how many inliers geometry counts in the ranking; 0 for `EVIDENCE`.
        max_hamming, min_photos: see `Engine` and `watermark_features`.
    """
    photos = BenchmarkPhotos(vocabulary, collection, features, threads)
    check_photos(collection, truth)
    known = read_truth(truth)
    queries, database = known.query, known.database
    engine = Engine(_database_index(photos, database, max_hamming, min_photos, seed), max_hamming)
    found = {name: [] for name in LISTS}
    for number, row in enumerate(progress(queries, "teacher")):
        words = in_region(photos.query(row, soft_words), known.region_of(number))
        rankings = search(engine, words, shortlist, min_inliers or EVIDENCE, max_expansion, expansion_inliers)
        for name in LISTS:
            found[name].append(rankings[name])
    arrays = {"query": queries.astype(np.int32), **photos_of(collection)}
    for name, rankings in found.items():
        arrays[f"{name}/offset"] = artefact.offsets([len(ranking.photo) for ranking in rankings])
        arrays[f"{name}/photo"] = np.concatenate([database[ranking.photo] for ranking in rankings]).astype(np.int32)
        arrays[f"{name}/score"] = np.concatenate([ranking.score for ranking in rankings])
        arrays[f"{name}/inliers"] = np.concatenate([ranking.inliers for ranking in rankings])
    params = {"soft_words": soft_words, "shortlist": shortlist, "min_inliers": min_inliers}
    params |= {"max_expansion": max_expansion, "expansion_inliers": expansion_inliers}
    artefact.write(out, "ranking", arrays, params)


def _database_index(photos, database, max_hamming, min_photos, seed):
    """Index arrays of the database, its watermarks left out as in the collection's."""
    forward, size = photos.forward(database), photos.size[database]
    masked = watermark_features(ForwardIndex(forward), size, max_hamming, min_photos, seed)[1]
    return index_arrays(drop_features(forward, ~masked), size, len(photos.vocabulary))
