"""The result of a source of pairs (positives, negatives and the truth of validation) and its artefacts."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bow2cnn.benchmarks.truth import Truth, write_truth
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.same_photos import photos_of
from bow2cnn.pairs.exclusions import NegativeRule, write_negatives
from bow2cnn.pairs.positives import write_positives


class Found(NamedTuple):
    """The pairs that a source has found.

    Attributes:
        query: int [q], rows of the queries of both sides.
        pools: per query a dict of arrays, see `Positives`.
        negatives: the rule which photos may be negatives of a query.
        validation: the truth of validation.
        params: parameters of the artefacts. The user sees `left_out`, a list of (count, reason).
    """

    query: np.ndarray
    pools: list[dict[str, np.ndarray]]
    negatives: NegativeRule
    validation: Truth
    params: dict


def need_places(train: int, validate: int, dropped: int, what: str) -> None:
    """Check that there are enough places. The photos of one place are the negatives of another, so one place cannot train a network.

    Args:
        train, validate, dropped: number of places on each side.
        what: the name of these places for the user, which depends on the source.

    Raises:
        EmptyStageError: fewer than two places are for training.
    """
    if train < 2:
        and_dropped = f", {dropped} were dropped because a benchmark shows them" if dropped else ""
        raise EmptyStageError(
            f"pairs: of {what} {train} can train and {validate} validate{and_dropped}; training needs at least two different places, "
            "because the photos of one place are the negatives of the other, and validation needs a third place: add photos of other places"
        )


def find_pairs(
    function: str,
    source: str,
    inputs: Mapping[str, Any],
    positives: str | Path,
    negatives: str | Path,
    validation: str | Path,
    settings: Mapping[str, Any],
) -> None:
    """Call the function of a source and write the three artefacts.

    Args:
        function: `MODULE.NAME`. The function takes the inputs and the settings as keywords and returns `Found`.
        source: name of the source, a parameter of the artefacts.
        inputs: name to the path, or to the list of paths, of every input of the source. The first one is an artefact of the run's photos.
        positives, negatives, validation: paths of the artefacts to write.
        settings: name to value.

    Raises:
        EmptyStageError: there are not enough places or no positives.
        DatabaseError: the user's database cannot be used.
        ArtefactError: an input cannot be used.
        WriteError: the disk is full or not writable.
    """
    module, _, name = function.rpartition(".")
    found = getattr(importlib.import_module(module), name)(**inputs, **settings)
    write_pairs(found, source, next(iter(inputs.values())), positives, negatives, validation)


def write_pairs(
    found: Found, source: str, collection: str | Path, positives: str | Path, negatives: str | Path, validation: str | Path
) -> None:
    """Write the artefacts of a source.

    Args:
        found: the result of the source.
        source: its name.
        collection: path of an artefact of the run's photos.
        positives, negatives, validation: paths of the artefacts to write.

    Raises:
        WriteError: the disk is full or not writable.
    """
    photos, params = photos_of(collection), {"source": source, **found.params}
    write_positives(positives, found.query, found.pools, photos, params)
    write_negatives(negatives, found.negatives, photos, params)
    write_truth(validation, found.validation, photos, params)
