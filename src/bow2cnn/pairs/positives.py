"""Positives: queries, each with a pool of photos that show the same, and the evidence for every pair.

The source of the pairs decides which evidence there is. A column that a source does not have is missing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bow2cnn.core import artefact

# The columns of evidence for a query and a photo of its pool; `bow2cnn.pairs.evidence.Evidence.pool` explains them.
EVIDENCE: dict[str, type] = {
    "shared": np.int32,
    "matched": np.bool_,
    "overlap": np.float32,
    "visible": np.float32,
    "scale": np.float32,
    "distance": np.float32,
    "inliers": np.int32,
}


class Positives(NamedTuple):
    """The positives of a source.

    Attributes:
        query: int64 [q] rows, for training and for validation.
        pools: per query a dict of arrays: `photo` int64, and the columns of `EVIDENCE` that the source has.
        source: name of the source.
    """

    query: np.ndarray
    pools: list[dict[str, np.ndarray]]
    source: str

    def pool_of(self, row: int) -> dict[str, np.ndarray] | None:
        """The pool of a photo, None if it is not a query."""
        number = np.flatnonzero(self.query == row)
        return self.pools[number[0]] if len(number) else None


def matched(pool: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The candidates of a pool that features match with the query; all of them if the source does not tell."""
    return {name: values[pool["matched"]] for name, values in pool.items()} if "matched" in pool else dict(pool)


def read_positives(path: str | Path, unmatched: bool = False) -> Positives:
    """Read an artefact of kind `positives`.

    Args:
        path: of the artefact.
        unmatched: whether candidates are wanted too that no feature matches with their query. Only those who ask for them get them.

    Raises:
        ArtefactError: it cannot be used.
    """
    with artefact.Reader(path, "positives") as reader:
        names = [name.removeprefix("pool/") for name in reader.names() if name.startswith("pool/")]
        columns = {name: reader[f"pool/{name}"] for name in names}
        query, offset, source = reader["query"].astype(np.int64), reader["pool_offset"], reader.params.get("source", "")
    columns["photo"] = columns["photo"].astype(np.int64)
    pools = [{name: values[a:b] for name, values in columns.items()} for a, b in zip(offset[:-1], offset[1:], strict=True)]
    return Positives(query, pools if unmatched else list(map(matched, pools)), source)


def write_positives(
    path: str | Path,
    query: ArrayLike,
    pools: Sequence[Mapping[str, np.ndarray]],
    photos: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
) -> None:
    """Write an artefact of kind `positives`.

    Args:
        path: of the artefact.
        query, pools: see `Positives`; all pools have the same columns.
        photos: the column of the photos, see `photos_of`.
        params: parameters of the artefact; one of them is `source`.

    Raises:
        WriteError: the disk is full or not writable.
    """
    arrays = {"query": np.asarray(query, np.int32), "pool_offset": artefact.offsets([len(pool["photo"]) for pool in pools])}
    for name, dtype in {"photo": np.int32, **EVIDENCE}.items():
        if name == "photo" or (pools and name in pools[0]):
            arrays[f"pool/{name}"] = np.concatenate([np.zeros(0, dtype), *(pool[name] for pool in pools)]).astype(dtype)
    artefact.write(path, "positives", {**arrays, **photos}, params)
