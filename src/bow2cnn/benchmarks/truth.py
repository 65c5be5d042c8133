"""Truth: what is right for every query of a benchmark, or of validation. One artefact and one reader for all of them."""

from typing import NamedTuple

import numpy as np

from bow2cnn.core import artefact

ALL = "all"  # the protocol where there is only one


class Truth(NamedTuple):
    """Rows are those of one collection: that of a benchmark, or that of the run.

    Attributes:
        query: int64 [q] rows.
        database: int64 [d] rows.
        protocols: name to a list with, per query, the rows of its positives and of its junk (neither right nor wrong), both int64; a row in
            neither is wrong.
        place: int64 [q], number of the place that a query asks for.
        region: float64 [q, 4], the part of its photo that a query asks with: left, top, right, bottom in pixels of the upright photo; NaN
            for the whole photo.
    """

    query: np.ndarray
    database: np.ndarray
    protocols: dict
    place: np.ndarray
    region: np.ndarray

    def region_of(self, number: int) -> tuple[float, float, float, float] | None:
        """The region of a query by its number, None for the whole photo."""
        return None if np.isnan(self.region[number, 0]) else tuple(self.region[number].tolist())

    def without(self, missing: np.ndarray) -> "Truth":
        """The same without some photos, for instance those that cannot be decoded: as queries, in the database and among the answers.

        A query that keeps no positive under any protocol is left out too. Places stay what they are: a photo that cannot be decoded does
        not make two places of one.

        Args:
            missing: bool [n] by row.
        """
        lists = {name: [tuple(rows[~missing[rows]] for rows in both) for both in answers] for name, answers in self.protocols.items()}
        answered = [any(len(answers[number][0]) for answers in lists.values()) for number in range(len(self.query))]
        kept = np.flatnonzero(~missing[self.query] & np.array(answered, bool))
        protocols = {name: [answers[number] for number in kept.tolist()] for name, answers in lists.items()}
        place = np.unique(self.place[kept], return_inverse=True)[1]
        return Truth(self.query[kept], self.database[~missing[self.database]], protocols, place, self.region[kept])


def read_truth(path) -> Truth:
    """Read an artefact of kind `truth`.

    Raises:
        ArtefactError: it cannot be used.
    """
    with artefact.Reader(path, "truth") as reader:
        query, database, place = (reader[name].astype(np.int64) for name in ("query", "database", "place"))
        region = reader["region"] if "region" in reader else np.full((len(query), 4), np.nan)
        protocols = {}
        for name in reader.params["protocols"]:
            positives, junk = (_lists(reader[f"{name}/{part}_offset"], reader[f"{name}/{part}"]) for part in ("positive", "junk"))
            protocols[name] = list(zip(positives, junk, strict=True))
    return Truth(query, database, protocols, place, region)


def write_truth(path, truth: Truth, photos: dict, params: dict | None = None) -> None:
    """Write an artefact of kind `truth`.

    Args:
        path: the file.
        truth: what is written.
        photos: the column of the photos, see `photos_of`.
        params: what else is noted in the file.
    """
    arrays = {name: getattr(truth, name).astype(np.int32) for name in ("query", "database", "place")}
    if np.isfinite(truth.region).any():
        arrays["region"] = truth.region
    for name, answers in truth.protocols.items():
        for number, part in enumerate(("positive", "junk")):
            lists = [both[number] for both in answers]
            arrays[f"{name}/{part}_offset"] = artefact.offsets([len(rows) for rows in lists])
            arrays[f"{name}/{part}"] = np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32)
    artefact.write(path, "truth", {**arrays, **photos}, {"protocols": list(truth.protocols), **(params or {})})


def _lists(offset, rows):
    """Ragged rows as a list of int64 arrays."""
    rows = rows.astype(np.int64)
    return [rows[start:stop] for start, stop in zip(offset[:-1], offset[1:], strict=True)]
