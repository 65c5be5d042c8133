"""The steps after the descriptor, by the names that the config gives them (`experiments.NAME.test.steps`).

A new step is an entry here and its function in `bow2cnn.descriptors.apply_steps`. This module imports hardly anything, because every job of
a run reads it to plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Step(NamedTuple):
    """What is known of a step without running it.

    Attributes:
        labels: what the table calls the step, by how it was learned: by the value of the parameter `learned` of its artefact. The only
            key is "" for a step that learns nothing.
        learned: the kind of the artefact that holds what the step has learned for a network, and the name of its file beside the network;
            "" for a step that learns nothing.
    """

    labels: Mapping[str, str]
    learned: str = ""


STEPS = {
    "whitened": Step(MappingProxyType({"learned": "lw", "pca": "pca"}), learned="whitening"),
}


def prefixes_of(lists: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """What the table has a row for: every beginning of some lists of steps, each once, the empty one first."""
    return list(dict.fromkeys([(), *(tuple(names[:count]) for names in lists for count in range(1, len(names) + 1))]))
