"""The choice of a whitening by validation: its kind, and its strength (the shrinkage of its scatter matrix)."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from bow2cnn.benchmarks.truth import ALL, Truth
from bow2cnn.descriptors.apply_whitening import apply, scale
from bow2cnn.evaluation.validation import validation_map
from bow2cnn.whitening.learned_and_pca import Whitenings

_LOG = logging.getLogger("bow2cnn")
# From a mere rotation about the mean to nearly full whitening; without shrinkage C_S may be singular.
_SHRINKAGES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.15, 0.07, 0.03, 0.01)


class Choice(NamedTuple):
    """A whitening.

    Attributes:
        kind: a key of what `learn` returns; "" for no whitening: the descriptors as they are.
        shrinkage: 0 to 1; NaN for no whitening.
    """

    kind: str = ""
    shrinkage: float = float("nan")

    def __str__(self) -> str:
        return f"{self.kind}, shrunk by {self.shrinkage:g}" if self.kind else "none"


def choose_whitening(
    found: np.ndarray, validation: Truth, learned: Mapping[str, Whitenings], dimensions: int
) -> tuple[Choice, dict[Choice, float]]:
    """Choose a whitening by validation.

    Args:
        found: descriptors, float32 [n, D].
        validation: the truth of validation, rows of the descriptors.
        learned: whitenings by kind.
        dimensions: of the result; 0 keeps all. Only where all are kept, no whitening at all is one of the choices.

    Returns:
        The best choice (without validation queries the weakest), and validation mAP by choice, from weak to strong (NaN without queries).
    """
    cut = dimensions if dimensions < found.shape[1] else 0
    choices = [Choice(kind, shrinkage) for shrinkage in _SHRINKAGES for kind in learned]
    choices = choices if cut else [Choice(), *choices]
    alone, described = _alone(validation, found)
    scores = dict(zip(choices, _scores(alone, described, learned, choices, cut), strict=True))
    if np.isnan(list(scores.values())).any():
        best = choices[0]
        _LOG.info("whitening: no validation queries to choose by, so the weakest is taken: %s", best)
    else:
        best, without = max(choices, key=scores.__getitem__), validation_map(validation, found)  # the first of equals, the weakest
        _LOG.info("whitening: %s, validation mAP %.2f (%.2f without)", best, scores[best], without)
    return best, scores


def _scores(validation, found, learned, choices, dimensions):
    """Validation mAP of each choice, NaN without queries."""
    scores = {choice: validation_map(validation, found) for choice in choices if not choice.kind}
    for kind, whitenings in learned.items():
        scores |= _scores_of_kind(validation, found, whitenings, [choice for choice in choices if choice.kind == kind], dimensions)
    return [np.nan if scores[choice] is None else scores[choice] for choice in choices]


def _scores_of_kind(validation, found, whitenings, choices, dimensions):
    """Validation mAP of each choice of one kind.

    The final rotation keeps every distance, so where no dimension is cut the descriptors are turned to the axes once, where a shrinkage is
    a gain for each of them.
    """
    if dimensions:
        maps = ((whitenings.mean, whitenings.projection(choice.shrinkage, dimensions)) for choice in choices)
        moved = (apply(found, *one) for one in maps)
    else:
        turned = apply(found, whitenings.mean, whitenings.axes.T)
        moved = (scale(turned, whitenings.gains(choice.shrinkage)) for choice in choices)
    return {choice: validation_map(validation, descriptors) for choice, descriptors in zip(choices, moved, strict=True)}


def _alone(validation, found):
    """The same validation with the descriptors of its own photos only."""
    rows = np.union1d(validation.query, validation.database)
    query, database = (np.searchsorted(rows, some) for some in (validation.query, validation.database))
    answers = [tuple(np.searchsorted(rows, some) for some in both) for both in validation.protocols[ALL]]
    return validation._replace(query=query, database=database, protocols={ALL: answers}), found[rows]
