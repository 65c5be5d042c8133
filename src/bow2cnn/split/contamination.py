"""Photos of the collection that show what a benchmark shows: found by geometry, so that nothing of it is trained on."""

import numpy as np

from bow2cnn.benchmarks.read import named_rows
from bow2cnn.core import artefact
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import photos_of
from bow2cnn.index.engine import Engine
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos


def find_contamination(index, vocabulary, collection, features, out, shortlist, max_hamming, min_inliers, threads):
    """Write a `ranking` artefact whose list `verified` has, for every benchmark photo, the collection's photos that match it.

    The benchmark is looked at for this alone: to throw out, never to choose.

    Args:
        index, vocabulary: paths of the collection's.
        collection, features: paths of the benchmark's.
        min_inliers: verified inliers of a match.
    """
    engine = Engine.load(index, max_hamming)
    photos = BenchmarkPhotos(vocabulary, collection, features, threads)
    found = []
    for row in progress(named_rows(collection), "contamination"):
        words = photos.words(row)
        candidates, scores = engine.rank(words, shortlist)
        inliers = engine.verify_all(words, candidates)[0]
        keep = inliers >= min_inliers
        found.append((candidates[keep], scores[keep], inliers[keep]))
    arrays = {
        "query": np.arange(len(found), dtype=np.int32),
        "verified/offset": artefact.offsets([len(photo) for photo, _, _ in found]),
        "verified/photo": np.concatenate([np.zeros(0, np.int32), *(photo for photo, _, _ in found)]).astype(np.int32),
        "verified/score": np.concatenate([np.zeros(0, np.float32), *(score for _, score, _ in found)]),
        "verified/inliers": np.concatenate([np.zeros(0, np.int32), *(count for _, _, count in found)]),
        **photos_of(index),
    }
    artefact.write(out, "ranking", arrays, {"min_inliers": min_inliers, "shortlist": shortlist})
