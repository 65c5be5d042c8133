"""k-means by faiss."""

import faiss
import numpy as np


def kmeans(descriptors, count, iterations, threads):
    """Centroids uint8 [count, D] of descriptors uint8 [n, D] in random order: it begins with the first `count` of them.

    Where there are no more descriptors than that, they are all returned, and nothing else.
    """
    if len(descriptors) <= count:
        return descriptors
    faiss.omp_set_num_threads(threads)
    points = descriptors.astype(np.float32)
    trainer = faiss.Kmeans(points.shape[1], count, niter=iterations, min_points_per_centroid=1, max_points_per_centroid=2**31 - 1)
    trainer.train(points, init_centroids=points[:count])
    return np.clip(np.rint(trainer.centroids), 0, 255).astype(np.uint8)
