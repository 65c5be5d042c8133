"""The whitening of one network: learned from the training pairs, its strength chosen by validation."""

from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.descriptors.apply_whitening import identity
from bow2cnn.training.pairs import read_pairs
from bow2cnn.whitening.choose_strength_by_validation import choose_strength
from bow2cnn.whitening.learned_and_pca import learned, pca


def learn_whitening(
    descriptors: str | Path,
    positives: str | Path,
    negatives: str | Path,
    validation: str | Path,
    out: str | Path,
    whitening: str = "learned",
    dimensions: int = 0,
) -> None:
    """Write the whitening of a network as an artefact of kind `whitening`.

    Args:
        descriptors: artefact, the collection described by the network.
        positives: artefact, the pairs of a source.
        negatives: artefact of the same source.
        validation: artefact of the same source, of kind `truth`.
        out: the artefact: `mean` [D], `projection` [d, D], `shrinkage` (the chosen one, NaN for no whitening), and for every
            candidate `tried/shrinkage` and its mAP on validation, `tried/validation_map` (NaN without queries).
        whitening: `learned` or `pca`.
        dimensions: of the result; 0 keeps all. With fewer than the network gives, the weakest whitening is a rotation.

    Raises:
        ArtefactError: an artefact is damaged, or two are of different photos.
        TrainingError: there is nothing to learn from.
    """
    check_photos(negatives, positives, validation, descriptors)
    with artefact.Reader(descriptors, "descriptors") as reader:
        mined = read_pairs(positives, negatives, validation, True, reader["missing"])
        found = reader.map("descriptor")
    family = _family(found, mined, whitening)
    chosen, tried = choose_strength(found, mined.validation, family, dimensions)
    nothing = np.isnan(chosen)
    mean, projection = identity(found.shape[1]) if nothing else (family.mean, family.projection(chosen, dimensions))
    arrays = {
        "mean": mean,
        "projection": projection,
        "shrinkage": np.float32(chosen),
        "tried/shrinkage": np.array(list(tried), np.float32),
        "tried/validation_map": np.array(list(tried.values()), np.float32),
    }
    artefact.write(out, "whitening", arrays, {"whitening": whitening, "dimensions": dimensions})


def _family(found, mined, kind):
    """The whitenings to choose from."""
    training = np.union1d(mined.negative, mined.query)
    if kind == "pca":
        return pca(found, training)
    queries = np.concatenate([np.full(len(pool["photo"]), query) for query, pool in zip(mined.query, mined.pools, strict=True)])
    positives = np.concatenate([pool["photo"] for pool in mined.pools]).astype(np.int64)
    return learned(found, training, queries, positives)
