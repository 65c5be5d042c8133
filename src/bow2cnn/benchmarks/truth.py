"""Truth: the right photos for every query, of a benchmark or of validation. One artefact and one reader for both."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.core import artefact

ALL = "all"  # the protocol where there is only one


class Truth(NamedTuple):
    """The right answers to queries. All rows are rows of one collection: of a benchmark's, or of the run's for validation.

    Attributes:
        query: int64 [q], row of every query's photo.
        database: int64 [d], rows of the photos that are ranked.
        protocols: name to a list with one (positives, junk) per query, both int64 rows. Junk counts neither as right nor as wrong; all
            other rows of the database are wrong.
        place: int64 [q], number of the place that a query shows.
        region: float64 [q, 4], the part of its photo that is the query: left, top, right, bottom in pixels of the upright photo; NaN for
            the whole photo.
    """

    query: np.ndarray
    database: np.ndarray
    protocols: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    place: np.ndarray
    region: np.ndarray

    def region_of(self, number: int) -> tuple[float, float, float, float] | None:
        """The region of a query (its number from 0) in pixels, None for the whole photo."""
        return None if np.isnan(self.region[number, 0]) else tuple(self.region[number].tolist())

    def without(self, missing: np.ndarray) -> "Truth":
        """Leave out photos, such as those that cannot be decoded, from the queries, the database, the positives and the junk.

        A query without a positive under any protocol is left out too. The other queries keep their places: a missing photo does not divide
        a place.

        Args:
            missing: bool [n], True for the rows that are left out.
        """
        lists = {
            name: [(positives[~missing[positives]], junk[~missing[junk]]) for positives, junk in answers]
            for name, answers in self.protocols.items()
        }
        answered = [any(len(answers[number][0]) for answers in lists.values()) for number in range(len(self.query))]
        kept = np.flatnonzero(~missing[self.query] & np.array(answered, bool))
        protocols = {name: [answers[number] for number in kept.tolist()] for name, answers in lists.items()}
        place = np.unique(self.place[kept], return_inverse=True)[1]
        return Truth(self.query[kept], self.database[~missing[self.database]], protocols, place, self.region[kept])


def read_truth(path: str | Path) -> Truth:
    """Read an artefact of kind `truth`.

    Raises:
        ArtefactError, ReadError: see `artefact.read`.
    """
    with artefact.Reader(path, "truth") as reader:
        query, database, place = (reader[name].astype(np.int64) for name in ("query", "database", "place"))
        region = reader["region"] if "region" in reader else np.full((len(query), 4), np.nan)
        protocols = {}
        for name in reader.params["protocols"]:
            positives, junk = (_lists(reader[f"{name}/{part}_offset"], reader[f"{name}/{part}"]) for part in ("positive", "junk"))
            protocols[name] = list(zip(positives, junk, strict=True))
    return Truth(query, database, protocols, place, region)


def write_truth(path: str | Path, truth: Truth, photos: dict[str, np.ndarray], params: dict | None = None) -> None:
    """Write an artefact of kind `truth`.

    Args:
        path: the file.
        truth: its content.
        photos: the column of the photos, see `photos_of`.
        params: further parameters of the artefact.

    Raises:
        WriteError: the file cannot be written.
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
