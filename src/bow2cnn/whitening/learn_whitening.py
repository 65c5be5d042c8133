"""The whitening of one network: learned from the training pairs, its strength chosen by validation."""

import logging
from pathlib import Path

import numpy as np

from bow2cnn.benchmarks.truth import ALL
from bow2cnn.core import artefact
from bow2cnn.core.same_photos import check_photos
from bow2cnn.descriptors.apply_whitening import apply, identity, scale
from bow2cnn.evaluation.validation import validation_map
from bow2cnn.training.pairs import read_pairs
from bow2cnn.whitening.covariance import learned, pca

_LOG = logging.getLogger("bow2cnn")
# From a mere rotation about the mean to nearly full whitening; without shrinkage C_S may be singular.
_SHRINKAGES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03, 0.01)
_NOTHING = float("nan")  # the shrinkage that is recorded where the descriptors as they are validate best


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
    cut = 0 < dimensions < found.shape[1]
    family = _family(found, mined, whitening)
    # From weak to strong. Only where all dimensions are kept, no whitening at all is one of the choices.
    shrinkages = list(_SHRINKAGES) if cut else [_NOTHING, *_SHRINKAGES]
    scores = _scores(found, mined.validation, family, shrinkages, dimensions if cut else 0)
    if np.isnan(scores).any():
        best = 0
        _LOG.info("whitening: no validation queries to choose by, so the weakest is taken: %s", _named(shrinkages[best]))
    else:
        best, without = int(np.argmax(scores)), validation_map(mined.validation, found)  # the first of equals, the weakest
        _LOG.info("whitening: %s, validation mAP %.2f (%.2f without)", _named(shrinkages[best]), scores[best], without)
    nothing = np.isnan(shrinkages[best])
    mean, projection = identity(found.shape[1]) if nothing else (family.mean, family.projection(shrinkages[best], dimensions))
    arrays = {
        "mean": mean,
        "projection": projection,
        "shrinkage": np.float32(shrinkages[best]),
        "tried/shrinkage": np.array(shrinkages, np.float32),
        "tried/validation_map": np.array(scores, np.float32),
    }
    artefact.write(out, "whitening", arrays, {"whitening": whitening, "dimensions": dimensions})


def _named(shrinkage):
    return "none" if np.isnan(shrinkage) else f"shrinkage {shrinkage:g}"


def _family(found, mined, kind):
    """The whitenings to choose from."""
    training = np.union1d(mined.negative, mined.query)
    if kind == "pca":
        return pca(found, training)
    queries = np.concatenate([np.full(len(pool["photo"]), query) for query, pool in zip(mined.query, mined.pools, strict=True)])
    positives = np.concatenate([pool["photo"] for pool in mined.pools]).astype(np.int64)
    return learned(found, training, queries, positives)


def _scores(found, validation, family, shrinkages, dimensions):
    """Validation mAP by shrinkage, NaN without queries.

    The final rotation keeps every distance, so where no dimension is cut the descriptors are turned to the family's axes once, where a
    shrinkage is a gain for each of them.
    """
    validation, found = _alone(validation, found)
    turned = None if dimensions else apply(found, family.mean, family.axes.T)
    scores = []
    for shrinkage in shrinkages:
        if np.isnan(shrinkage):
            moved = found
        elif dimensions:
            moved = apply(found, family.mean, family.projection(shrinkage, dimensions))
        else:
            moved = scale(turned, family.gains(shrinkage))
        score = validation_map(validation, moved)
        scores.append(np.nan if score is None else score)
    return scores


def _alone(validation, found):
    """The same validation with the descriptors of its own photos only."""
    rows = np.union1d(validation.query, validation.database)
    query, database = (np.searchsorted(rows, some) for some in (validation.query, validation.database))
    answers = [tuple(np.searchsorted(rows, some) for some in both) for both in validation.protocols[ALL]]
    return validation._replace(query=query, database=database, protocols={ALL: answers}), found[rows]
