"""Seeds of an index, both stages."""

from pathlib import Path

from bow2cnn.clustering.minhash import collide_sketches
from bow2cnn.clustering.seeds import find_seeds
from bow2cnn.core import artefact


def write_seeds(index, out, max_hamming, sketches=512, min_similarity=0.045, min_inliers=8, seed=0, parts=1, threads=1):
    """Write the seeds, the collisions beside them, and return the arrays."""
    paths = [Path(out).with_name(f"collisions-{part:02d}.h5") for part in range(parts)]
    for part, path in enumerate(paths):
        collide_sketches(index, path, part, parts, 3, sketches, min_similarity, seed, threads)
    verification = Path(out).with_name("verification.h5")
    artefact.write(verification, "verification", {}, {"words": min_inliers, "features": min_inliers})
    find_seeds(index, paths, verification, out, max_hamming, threads)
    return artefact.read(out, "seeds")
