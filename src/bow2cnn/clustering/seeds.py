"""Seeds of the growth: pairs of photos whose sketches collide, confirmed by geometry."""

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.index.engine import Engine
from bow2cnn.retrieval.calibration import read_min_inliers


def find_seeds(index, collisions, verification, out, max_hamming, threads, code=""):
    """Write the `seeds` artefact.

    Args:
        index: path.
        collisions: paths of the `collisions` of all parts of the sketches.
        verification: path of the artefact that says how many verified inliers a seed needs.
        code: digest of the code, part of the lineage.
    """
    check_photos(index, verification, *collisions)
    min_inliers = read_min_inliers(verification).hard
    made_with = lineage("seeds", lineage_of(collisions[0], "collisions"), lineage_of(verification, "verification"), max_hamming, code)
    pairs, similarity = _all_of(collisions)
    inliers = _verify(Engine.load(index, max_hamming), pairs, threads)
    keep = inliers >= min_inliers
    arrays = {
        "pair": pairs[keep],
        "similarity": similarity[keep],
        "inliers": inliers[keep],
        "collisions": np.int64(len(pairs)),
        **photos_of(index),
    }
    artefact.write(out, "seeds", arrays, {"min_inliers": min_inliers, "lineage": made_with})


def _all_of(collisions):
    """Pairs int32 [m, 2] of all parts, each once, sorted, and their overlaps float32 [m]."""
    parts = [artefact.read(path, "collisions", ["pair", "similarity"]) for path in collisions]
    pairs, rows = np.unique(np.concatenate([part["pair"] for part in parts]), axis=0, return_index=True)
    return pairs, np.concatenate([part["similarity"] for part in parts])[rows]


def _verify(engine, pairs, threads):
    """Verified inliers of every pair, int32 [m]; pairs of one first photo go together."""
    bounds = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1, append=-1))

    def inliers_of(part):
        start, stop = part
        return engine.verify_all(engine.words(pairs[start, 0]), pairs[start:stop, 1])[0]

    with thread_pool(threads) as pool:
        parts = list(zip(bounds[:-1], bounds[1:], strict=True))
        found = list(progress(pool.map(inliers_of, parts), "seeds", len(parts)))
    return np.concatenate([np.zeros(0, np.int32), *found])
