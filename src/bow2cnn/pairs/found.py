"""What every source of pairs hands on, and how it is written: positives, negatives and the truth of validation."""

import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.benchmarks.truth import Truth, write_truth
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.same_photos import photos_of
from bow2cnn.pairs.negatives import NegativeRule, write_negatives
from bow2cnn.pairs.positives import write_positives


class Found(NamedTuple):
    """Attributes:
    query: int [q] rows of the queries of both sides.
    pools: per query a dict of arrays, see `Positives`.
    negatives: who may be a negative of whom.
    validation: the truth of validation.
    params: what is noted in the artefacts; `left_out`, a list of (count, reason), is told to the user.
    """

    query: np.ndarray
    pools: list
    negatives: NegativeRule
    validation: Truth
    params: dict


def need_places(train: int, validate: int, dropped: int, what: str) -> None:
    """The photos of one place are the negatives of another, so a single place cannot train a network.

    Args:
        train, validate, dropped: places of each side.
        what: the places in words, as a source makes them.

    Raises:
        EmptyStageError: fewer than two places train.
    """
    if train < 2:
        told = f", {dropped} were dropped because a benchmark shows them" if dropped else ""
        raise EmptyStageError(
            f"pairs: of {what} {train} can train and {validate} validate{told}; training needs at least two different places, because the "
            "photos of one are the negatives of the other, and validation a third: add photos of other places"
        )


def find_pairs(function: str, source: str, inputs: dict, positives, negatives, validation, settings: dict) -> None:
    """Call the function of a source and write the three artefacts.

    Args:
        function: `MODULE.NAME`; the function takes the inputs and the settings as keywords and returns `Found`.
        source: its name, noted in the artefacts.
        inputs: name to the path, or to the list of paths, of what the source needs. The first is an artefact that says which photos it is
            of.
        positives, negatives, validation: the artefacts to write.
        settings: keywords.
    """
    module, _, name = function.rpartition(".")
    found = getattr(importlib.import_module(module), name)(**inputs, **settings)
    write_pairs(found, source, next(iter(inputs.values())), positives, negatives, validation)


def write_pairs(found: Found, source: str, collection: str | Path, positives, negatives, validation) -> None:
    """Write what a source found; `collection` is an artefact of the photos that it is of."""
    photos, params = photos_of(collection), {"source": source, **found.params}
    write_positives(positives, found.query, found.pools, photos, params)
    write_negatives(negatives, found.negatives, photos, params)
    write_truth(validation, found.validation, photos, params)
