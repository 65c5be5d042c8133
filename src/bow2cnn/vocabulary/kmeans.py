"""k-means by faiss."""

import faiss
import numpy as np
from numpy.typing import NDArray


def kmeans(descriptors: np.ndarray, count: int, iterations: int, threads: int) -> NDArray[np.uint8]:
    """Cluster descriptors.

    Args:
        descriptors: uint8 [n, D], in random order, because the first `count` are the initial centroids.
        count: number of centroids.
        iterations: number of iterations.
        threads: library threads.

    Returns:
        the centroids, uint8 [count, D]; the descriptors themselves where there are at most `count`.
    """
    if len(descriptors) <= count:
        return descriptors
    faiss.omp_set_num_threads(threads)
    points = descriptors.astype(np.float32)
    trainer = faiss.Kmeans(points.shape[1], count, niter=iterations, min_points_per_centroid=1, max_points_per_centroid=2**31 - 1)
    trainer.train(points, init_centroids=points[:count])
    return np.clip(np.rint(np.asarray(trainer.centroids)), 0, 255).astype(np.uint8)
