"""Find the photos of the collection that match a benchmark's photos, so that nothing is trained on them."""

from pathlib import Path

import numpy as np

from bow2cnn.benchmarks.read import named_rows
from bow2cnn.core import artefact
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import photos_of
from bow2cnn.index.engine import Engine
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos


def find_contamination(
    index: str | Path,
    vocabulary: str | Path,
    collection: str | Path,
    features: str | Path,
    out: str | Path,
    shortlist: int,
    max_hamming: int,
    min_inliers: int,
    threads: int,
) -> None:
    """Write a `ranking` artefact whose list `verified` has, for every benchmark photo, the photos of the collection that match it.

    Before the evaluation the benchmark is used only for this: to leave photos out, never to choose anything.

    Args:
        index, vocabulary: paths of the artefacts of the collection.
        collection, features: paths of the artefacts of the benchmark.
        out: path of the artefact to write.
        shortlist: number of photos that are verified with each benchmark photo.
        max_hamming: see `Engine`.
        min_inliers: verified inliers of a match.
        threads: worker threads; the result does not depend on their number.

    Raises:
        ArtefactError: an input cannot be used.
        WriteError: the disk is full or not writable.
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
