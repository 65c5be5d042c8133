"""Seeds of the growth: pairs of photos whose sketches collide, confirmed by geometry."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.parallel import thread_pool
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.index.engine import Engine
from bow2cnn.retrieval.calibrate_inliers import read_min_inliers


def find_seeds(
    index: str | Path,
    collisions: Sequence[str | Path],
    verification: str | Path,
    out: str | Path,
    max_hamming: int,
    threads: int,
    code: str = "",
) -> None:
    """Write the `seeds` artefact.

    Args:
        index: path of the `index` artefact.
        collisions: paths of the `collisions` artefacts of all parts of the sketches.
        verification: path of the `verification` artefact, which says how many verified inliers a seed needs.
        out: path of the artefact to write.
        max_hamming: see `Engine`.
        threads: worker threads; the result does not depend on their number.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: an input cannot be used, or is of other photos than the index.
        WriteError: the disk is full or not writable.
    """
    check_photos(index, verification, *collisions)
    min_inliers = read_min_inliers(verification).words
    made_with = lineage("seeds", lineage_of(collisions[0], "collisions"), lineage_of(verification, "verification"), max_hamming, code)
    pairs, similarity = _merge(collisions)
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


def _merge(collisions):
    """The distinct pairs of all parts, int32 [m, 2] sorted, and their overlaps, float32 [m]."""
    parts = [artefact.read(path, "collisions", ["pair", "similarity"]) for path in collisions]
    pairs, rows = np.unique(np.concatenate([part["pair"] for part in parts]), axis=0, return_index=True)
    return pairs, np.concatenate([part["similarity"] for part in parts])[rows]


def _verify(engine, pairs, threads):
    """Verified inliers of every pair, int32 [m]. Pairs with the same first photo are verified together."""
    bounds = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1, append=-1))

    def inliers_of(part):
        start, stop = part
        return engine.verify_all(engine.words(pairs[start, 0]), pairs[start:stop, 1])[0]

    with thread_pool(threads) as pool:
        parts = list(zip(bounds[:-1], bounds[1:], strict=True))
        found = list(progress(pool.map(inliers_of, parts), "seeds", len(parts)))
    return np.concatenate([np.zeros(0, np.int32), *found])
