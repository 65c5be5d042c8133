"""The strength of a whitening: the shrinkage of its scatter matrix that validates best."""

import logging

import numpy as np

from bow2cnn.benchmarks.truth import ALL, Truth
from bow2cnn.descriptors.apply_whitening import apply, scale
from bow2cnn.evaluation.validation import validation_map
from bow2cnn.whitening.learned_and_pca import Whitenings

_LOG = logging.getLogger("bow2cnn")
# From a mere rotation about the mean to nearly full whitening; without shrinkage C_S may be singular.
_SHRINKAGES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03, 0.01)
_NOTHING = float("nan")  # the shrinkage of no whitening: the descriptors as they are


def choose_strength(found: np.ndarray, validation: Truth, family: Whitenings, dimensions: int) -> tuple[float, dict[float, float]]:
    """Choose the shrinkage of a whitening by validation.

    Args:
        found: descriptors, float32 [n, D].
        validation: the truth of validation, rows of the descriptors.
        family: the whitening by all shrinkages.
        dimensions: of the result; 0 keeps all. Only where all are kept, no whitening at all is one of the choices.

    Returns:
        The shrinkage (NaN for no whitening; without validation queries the weakest choice), and validation mAP by shrinkage, from weak to
        strong (NaN without queries).
    """
    cut = dimensions if dimensions < found.shape[1] else 0
    shrinkages = list(_SHRINKAGES) if cut else [_NOTHING, *_SHRINKAGES]
    scores = _scores(found, validation, family, shrinkages, cut)
    if np.isnan(scores).any():
        best = 0
        _LOG.info("whitening: no validation queries to choose by, so the weakest is taken: %s", _named(shrinkages[best]))
    else:
        best, without = int(np.argmax(scores)), validation_map(validation, found)  # the first of equals, the weakest
        _LOG.info("whitening: %s, validation mAP %.2f (%.2f without)", _named(shrinkages[best]), scores[best], without)
    return shrinkages[best], dict(zip(shrinkages, scores, strict=True))


def _named(shrinkage):
    return "none" if np.isnan(shrinkage) else f"shrinkage {shrinkage:g}"


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
