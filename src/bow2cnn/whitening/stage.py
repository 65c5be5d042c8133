"""The whitening of one network: learned from the training pairs, its strength chosen by the validation models."""

import logging

import numpy as np

from bow2cnn import artefact
from bow2cnn.evaluation.validation import validation_map
from bow2cnn.training.pairs import read_pairs
from bow2cnn.whitening import whiten

_LOG = logging.getLogger("bow2cnn")
# From nothing but a rotation about the mean to nearly all of it; without shrinkage C_S may be singular.
_SHRINKAGES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03, 0.01)
_NOTHING = float("nan")  # shrinkage recorded where leaving the descriptors as they are validates best


def learn_whitening(descriptors, pairs, out, whitening="learned", dimensions=0):
    """Write the whitening of a network as an artefact of kind `whitening`.

    Args:
        descriptors: artefact, the collection described by the network.
        pairs: artefact.
        out: the artefact: `mean` [D], `projection` [d, D], `shrinkage` (the chosen one, NaN for no whitening), and what each
            candidate scored on validation: `tried/shrinkage`, `tried/validation_map`.
        whitening: `learned` or `pca`.
        dimensions: of the result; 0 keeps all. With fewer than the network gives, a rotation stands for no whitening.
    """
    described = artefact.read(descriptors, "descriptors")
    mined = read_pairs(pairs, True, described["missing"])
    found = described["descriptor"]
    candidates = _candidates(found, mined, whitening, dimensions)
    scores = [_score(mined.validation, found, *projection) for _, projection in candidates]
    # The first of equals: candidates go from weak to strong.
    best = int(np.argmax(scores))
    shrinkage, (mean, projection) = candidates[best]
    _LOG.info("whitening: shrinkage %g, validation mAP %.2f (%.2f without)", shrinkage, scores[best], scores[0])
    arrays = {
        "mean": mean,
        "projection": projection,
        "shrinkage": np.float32(shrinkage),
        "tried/shrinkage": np.array([candidate[0] for candidate in candidates], np.float32),
        "tried/validation_map": np.array(scores, np.float32),
    }
    artefact.write(out, "whitening", arrays, {"whitening": whitening, "dimensions": dimensions})


def _candidates(found, mined, kind, dimensions):
    """(shrinkage, (mean, projection)) from nothing to strong."""
    training = found[np.union1d(mined.negative, mined.query)]
    queries = np.concatenate([np.full(len(pool["photo"]), query) for query, pool in zip(mined.query, mined.pools, strict=True)])
    positives = np.concatenate([pool["photo"] for pool in mined.pools]).astype(np.int64)
    kept = [] if dimensions and dimensions < found.shape[1] else [(_NOTHING, whiten.nothing(found.shape[1]))]
    for shrinkage in _SHRINKAGES:
        if kind == "pca":
            kept.append((shrinkage, whiten.pca(training, shrinkage, dimensions)))
        else:
            kept.append((shrinkage, whiten.learned(training, found[queries], found[positives], shrinkage, dimensions)))
    return kept


def _score(validation, found, mean, projection):
    """Validation mAP; without validation -1 for all, so that the weakest is taken."""
    score = validation_map(validation, whiten.apply(found, mean, projection))
    return -1.0 if score is None else score
