"""k-means and nearest centroids by faiss."""

import faiss
import numpy as np

_FAR = 1e4  # no byte descriptor comes near a centroid here
_AT_ONCE = 1 << 20  # points that are searched together


def kmeans(points, count, iterations, threads):
    """Centroids float32 [count, d] of float32 points [n, d], in random order: it begins with the first `count` of them.

    Where points are fewer than centroids, the surplus lies out of reach.
    """
    faiss.omp_set_num_threads(threads)
    if len(points) <= count:
        surplus = np.full((count - len(points), points.shape[1]), _FAR, np.float32)
        return np.concatenate([points, surplus]).astype(np.float32)
    trainer = faiss.Kmeans(points.shape[1], count, niter=iterations, min_points_per_centroid=1, max_points_per_centroid=2**31 - 1)
    trainer.train(np.ascontiguousarray(points), init_centroids=points[:count])
    return trainer.centroids


def nearest(points, centroids, threads, count=1):
    """Rows of the nearest centroids, int64 [n] (or [n, count], nearest first)."""
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids))
    found = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), _AT_ONCE):
        block = np.ascontiguousarray(points[start : start + _AT_ONCE], dtype=np.float32)
        found[start : start + _AT_ONCE] = index.search(block, count)[1]
    return found[:, 0] if count == 1 else found
