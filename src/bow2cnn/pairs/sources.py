"""The registry of the sources of pairs. An experiment chooses one of them by its name (`pairs: {source: NAME}`).

A new source is a function that takes its inputs and settings as keywords and returns `bow2cnn.pairs.found.Found`, and an entry in
`SOURCES`, from which the workflow makes the rule. This module imports little, because every job of a run reads it to plan.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Source(NamedTuple):
    """A source of pairs.

    Attributes:
        function: `MODULE.NAME`.
        needs: inputs, by the names of artefacts in `workflow/rules/common.smk`. The first one is an artefact of the run's photos.
        needs_of_teacher: inputs that exist only if the run finds clusters and 3D models itself.
        needs_of_user: a key of the config whose file is an input too; "" for none.
        settings: section of the config to the keys that the function gets, () for all keys; the section "" has the top-level keys.
        megabytes: memory of the job.
        times: input to a factor; the factor times the size of the input is added to the memory.
    """

    function: str
    needs: tuple[str, ...]
    needs_of_teacher: tuple[str, ...] = ()
    needs_of_user: str = ""
    settings: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    megabytes: int = 2000
    times: Mapping[str, float] = MappingProxyType({})


SOURCES = {
    "models": Source(
        "bow2cnn.pairs.from_models.mine_pairs",
        needs=("models", "split", "collection"),
        needs_of_teacher=("graph", "clusters", "index"),
        settings={"pairs": (), "split": ("validation",), "retrieval": ("shortlist", "max_hamming"), "": ("seed", "threads")},
        megabytes=4000,
        times={"index": 0.5, "models": 4},
    ),
    "database": Source(
        "bow2cnn.pairs.from_database.import_database", needs=("collection",), needs_of_user="database", times={"database": 20}
    ),
    "words": Source(
        "bow2cnn.pairs.from_words.pair_by_words",
        needs=("index", "contaminations"),
        settings={"split": ("validation",), "retrieval": ("max_hamming",), "pairs": ("max_background",), "": ("seed", "threads")},
        megabytes=4000,
        times={"index": 0.5},
    ),
}
