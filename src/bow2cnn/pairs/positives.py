"""Positives: queries, each with its pool of photos that show the same, and what is known of every pair.

Which evidence there is depends on the source of the pairs. A column that a source does not know is not there.
"""

from typing import NamedTuple

import numpy as np

from bow2cnn.core import artefact

# What may be known of a query and a photo of its pool; `bow2cnn.pairs.evidence` says what each is.
EVIDENCE = {"shared": np.int32, "overlap": np.float32, "scale": np.float32, "distance": np.float32, "inliers": np.int32}


class Positives(NamedTuple):
    """Attributes:
    query: int64 [q] rows, of training and of validation.
    pools: per query a dict of arrays: `photo` int64, and the columns of `EVIDENCE` that the source has.
    source: name of the source.
    """

    query: np.ndarray
    pools: list
    source: str

    def pool_of(self, row: int) -> dict | None:
        """The pool of a photo, None where it is no query."""
        number = np.flatnonzero(self.query == row)
        return self.pools[number[0]] if len(number) else None


def read_positives(path) -> Positives:
    """Read an artefact of kind `positives`.

    Raises:
        ArtefactError: it cannot be used.
    """
    with artefact.Reader(path, "positives") as reader:
        names = [name.removeprefix("pool/") for name in reader.names() if name.startswith("pool/")]
        columns = {name: reader[f"pool/{name}"] for name in names}
        query, offset, source = reader["query"].astype(np.int64), reader["pool_offset"], reader.params.get("source", "")
    columns["photo"] = columns["photo"].astype(np.int64)
    pools = [{name: values[a:b] for name, values in columns.items()} for a, b in zip(offset[:-1], offset[1:], strict=True)]
    return Positives(query, pools, source)


def write_positives(path, query, pools: list, photos: dict, params: dict) -> None:
    """Write an artefact of kind `positives`.

    Args:
        path: the file.
        query, pools: as in `Positives`; all pools have the same columns.
        photos: the column of the photos, see `photos_of`.
        params: what is noted in the file, `source` among it.
    """
    arrays = {"query": np.asarray(query, np.int32), "pool_offset": artefact.offsets([len(pool["photo"]) for pool in pools])}
    for name, dtype in {"photo": np.int32, **EVIDENCE}.items():
        if name == "photo" or (pools and name in pools[0]):
            arrays[f"pool/{name}"] = np.concatenate([np.zeros(0, dtype), *(pool[name] for pool in pools)]).astype(dtype)
    artefact.write(path, "positives", {**arrays, **photos}, params)
