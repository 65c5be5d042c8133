"""The sources of pairs, by the names that an experiment gives them (`pairs: {source: NAME}`).

A new source is a function that takes its inputs and settings as keywords and returns `bow2cnn.pairs.found.Found`, and an entry here: the
workflow makes the rule from it. This module imports hardly anything, because every job of a run reads it to plan.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Source(NamedTuple):
    """Attributes:
    function: `MODULE.NAME`.
    needs: inputs: names of artefacts as `workflow/rules/common.smk` knows them. The first says which photos the pairs are of.
    needs_of_teacher: inputs that are there only where the run finds clusters and 3D models itself.
    needs_of_user: a key of the config whose file is an input too.
    settings: section of the config to the keys that are passed on (all where none is named); "" for keys outside every section.
    megabytes: memory; times: input to how many times its size is needed besides.
    """

    function: str
    needs: tuple
    needs_of_teacher: tuple = ()
    needs_of_user: str = ""
    settings: Mapping = MappingProxyType({})
    megabytes: int = 2000
    times: Mapping = MappingProxyType({})


SOURCES = {
    "models": Source(
        "bow2cnn.pairs.mine.mine_pairs",
        needs=("models", "split"),
        needs_of_teacher=("graph", "clusters", "index"),
        settings={"pairs": (), "split": ("validation",), "retrieval": ("shortlist", "max_hamming"), "": ("seed", "threads")},
        megabytes=4000,
        times={"index": 0.5, "models": 4},
    ),
    "database": Source("bow2cnn.pairs.database.import_database", needs=("collection",), needs_of_user="database", times={"database": 20}),
    "words": Source(
        "bow2cnn.pairs.words.pair_by_words",
        needs=("index", "contaminations"),
        settings={"split": ("validation",), "retrieval": ("max_hamming",), "pairs": ("max_background",), "": ("seed", "threads")},
        megabytes=4000,
        times={"index": 0.5},
    ),
}


def folders_of_pairs(results: str | Path) -> dict[str, Path]:
    """Source to the folder of its pairs in a run, sorted by source."""
    return {path.parent.name: path.parent for path in sorted(Path(results).glob("pairs/*/negatives.h5"))}
