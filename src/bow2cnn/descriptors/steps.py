"""The steps after the descriptor, by the names that the config gives them (`experiments.NAME.test.steps`).

A new step is an entry here and its function in `bow2cnn.descriptors.apply_steps`. This module imports hardly anything, because every job of
a run reads it to plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Step(NamedTuple):
    """The names of a step.

    Attributes:
        labels: name of the step in the table, by the way in which it was learned. The artefact says that way in a parameter that is called
            like its kind. A step that learns nothing has one label, for "".
        learned: kind of the artefact that the step learns for a network, and name of its file beside the network; "" for a step that
            learns nothing.
        settings: keys of the config's section `evaluation` that a step that learns nothing gets. They are the same for all systems, so that
            rows with one label are comparable.
    """

    labels: Mapping[str, str]
    learned: str = ""
    settings: tuple[str, ...] = ()


STEPS = {
    "whitened": Step(MappingProxyType({"auto": "w", "learned": "lw", "pca": "pca", "mixed": "lw-pca"}), learned="whitening"),
    "expanded": Step(MappingProxyType({"": "qe"}), settings=("expansion_photos", "expansion_alpha")),
}


def prefixes_of(lists: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Every beginning of some lists of steps, each once, the empty one first: the table has a row for each."""
    return list(dict.fromkeys([(), *(tuple(names[:count]) for names in lists for count in range(1, len(names) + 1))]))
