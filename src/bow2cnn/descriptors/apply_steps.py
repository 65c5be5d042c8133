"""Steps after the descriptor: functions that turn the descriptors of queries and of a database into others, by which is ranked.

All of them have one signature, `Function`, and keep to this:

- Queries are float32 [q, D] and the database is float32 [n, D]. A step may change D, but for both alike.
- Photos are ranked by the inner product of the query's row and theirs. Rows have a length of at most 1.
- A row of zeros is a photo without a descriptor. It stays a row of zeros.
- The result depends on the arguments alone, and the arguments are not changed.

So a step may treat every row by itself (whitening), join every query with its best results (query expansion), join every photo of the
database with its neighbours there (database augmentation), or give both the coordinates of an embedding whose inner products are the wanted
similarities (diffusion, as in Iscen et al., Fast spectral ranking for similarity search, CVPR 2018).
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.descriptors.apply_whitening import whitened
from bow2cnn.descriptors.expand_queries import expanded
from bow2cnn.descriptors.steps import STEPS

Arrays = Mapping[str, np.ndarray]
# (queries float32 [q, D], database float32 [n, D], learned arrays or settings) -> (queries float32 [q, d], database float32 [n, d])
Function = Callable[[np.ndarray, np.ndarray, Arrays], tuple[np.ndarray, np.ndarray]]

FUNCTIONS: dict[str, Function] = {"whitened": whitened, "expanded": expanded}


class Learned(NamedTuple):
    """The learned part of a step, for one network.

    Attributes:
        arrays: those of its artefact; the settings of a step that learns nothing.
        label: name of the step in the table.
        details: what validation chose, in words; "" for nothing.
    """

    arrays: Arrays
    label: str
    details: str = ""


def read_learned(names: Iterable[str], paths: Mapping[str, str | Path], settings: Mapping[str, float] | None = None) -> dict[str, Learned]:
    """Read the learned parts of steps, for one network.

    Args:
        names: the steps.
        paths: step to its artefact, for those of the steps that learn something.
        settings: the settings of the others by name, see `bow2cnn.descriptors.steps.Step`.

    Returns:
        step to its learned part.

    Raises:
        ArtefactError: an artefact is damaged.
    """
    found = {}
    for name in names:
        step = STEPS[name]
        if not step.learned:
            found[name] = Learned({key: np.asarray((settings or {})[key]) for key in step.settings}, step.labels[""])
            continue
        with artefact.Reader(paths[name], step.learned) as reader:
            arrays = {array: reader[array] for array in reader.names()}
            found[name] = Learned(arrays, step.labels[reader.params[step.learned]], reader.params["details"])
    return found


def apply_steps(
    names: Iterable[str], queries: np.ndarray, database: np.ndarray, learned: Mapping[str, Learned]
) -> tuple[np.ndarray, np.ndarray]:
    """Apply steps one after the other.

    Args:
        names: the steps, in their order.
        queries: float32 [q, D].
        database: float32 [n, D].
        learned: step to its learned part, see `read_learned`.

    Returns:
        queries float32 [q, d] and database float32 [n, d], by whose inner products photos are ranked.
    """
    for name in names:
        queries, database = FUNCTIONS[name](queries, database, learned[name].arrays)
    return queries, database


def label_of(names: Iterable[str], learned: Mapping[str, Learned]) -> str:
    """Name of these steps, in this order, in the table; "" for none."""
    return "+".join(learned[name].label for name in names)


def details_of(names: Iterable[str], learned: Mapping[str, Learned]) -> str:
    """What validation chose for these steps, in words; "" for nothing."""
    return "; ".join(filter(None, (learned[name].details for name in names)))
