"""The whitening of one network: made from the training photos and pairs, its kind and strength chosen by validation."""

from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.descriptors.apply_whitening import identity
from bow2cnn.training.pairs import read_pairs
from bow2cnn.whitening.choose_by_validation import choose_whitening
from bow2cnn.whitening.learned_and_pca import KINDS, learn


def learn_whitening(
    descriptors: str | Path,
    positives: str | Path,
    negatives: str | Path,
    validation: str | Path,
    out: str | Path,
    whitening: str = "auto",
    dimensions: int = 0,
) -> None:
    """Write the whitening of a network as an artefact of kind `whitening`.

    Args:
        descriptors: artefact, the collection described by the network.
        positives: artefact, the pairs of a source.
        negatives: artefact of the same source.
        validation: artefact of the same source, of kind `truth`.
        out: the artefact: `mean` [D], `projection` [d, D], the chosen `shrinkage` (NaN for no whitening), and for every candidate its
            `tried/kind` ("" for no whitening), `tried/shrinkage` and mAP on validation, `tried/validation_map` (NaN without queries).
        whitening: one of `bow2cnn.whitening.learned_and_pca.KINDS`, or `auto` for the one that validates best.
        dimensions: of the result; 0 keeps all. With fewer than the network gives, the weakest whitening is a rotation.

    Raises:
        ArtefactError: an artefact is damaged, or two are of different photos.
        TrainingError: there is nothing to learn from.
    """
    check_photos(negatives, positives, validation, descriptors)
    with artefact.Reader(descriptors, "descriptors") as reader:
        mined = read_pairs(positives, negatives, validation, True, reader["missing"])
        found = reader.map("descriptor")
    queries, matches = _matching(mined)
    kinds = KINDS if whitening == "auto" else [whitening]
    learned = learn(found, np.union1d(mined.negative, mined.query), queries, matches, kinds)
    chosen, tried = choose_whitening(found, mined.validation, learned, dimensions)
    if chosen.kind:
        mean, projection = learned[chosen.kind].mean, learned[chosen.kind].projection(chosen.shrinkage, dimensions)
    else:
        mean, projection = identity(found.shape[1])
    arrays = {
        "mean": mean,
        "projection": projection,
        "shrinkage": np.float32(chosen.shrinkage),
        "tried/kind": [strength.kind for strength in tried],
        "tried/shrinkage": np.array([strength.shrinkage for strength in tried], np.float32),
        "tried/validation_map": np.array(list(tried.values()), np.float32),
    }
    artefact.write(out, "whitening", arrays, {"whitening": whitening, "dimensions": dimensions, "details": str(chosen)})


def _matching(mined):
    """Rows of the first and of the second photos of all matching pairs."""
    photos = [pool["photo"] for pool in mined.pools]
    queries = np.concatenate([np.full(len(own), query) for query, own in zip(mined.query, photos, strict=True)])
    return queries, np.concatenate(photos).astype(np.int64)
