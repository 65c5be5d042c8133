"""The rule which photos of a collection may be negatives of a query.

Photos of one place show the same. Photos of one cluster may show the same, because verified pairs join them. So may photos that a cut pair
joins: clustering cuts verified pairs that are too weak to join two clusters, so that no 3D model mixes two places. But a cut does not prove
that the photos differ: most of the pairs cut in collections of landmarks are right. So the photos of a cut pair are in doubt, and are not
negatives of each other.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bow2cnn.core import artefact

_NEAREST = 2  # number of nearest places that a background photo may belong to
_CHUNK = 256  # background photos per block, to limit the size of the similarity matrix
_NO_PAIRS = np.zeros((0, 2), np.int64)


class NegativeRule:
    """The only code that interprets places, clusters and doubt.

    Args:
        place: int [n], number of each photo's place; -1 for a photo that must not be used.
        cluster: int [n], number of each photo's cluster, -1 for none. A used photo without a cluster is a background photo: it has a place
            of its own.
        side: int [n], `TRAIN`, `VALIDATION`, or 0.
        weak: int [k, 2], the uncertain pairs: a background photo and a photo that it matches too weakly to be joined to it.
        doubt: int [d, 2], pairs of photos that were cut.
        lists: query to the rows, int [k], of the only photos that may be its negatives, for sources that choose these themselves. A query
            that is not there has no such list.

    Attributes:
        place, cluster, side, weak, doubt, lists: the same, int64.
        used: bool [n], photos that may be used.
        background: bool [n], used photos outside every cluster.
    """

    def __init__(
        self,
        place: ArrayLike,
        cluster: ArrayLike,
        side: ArrayLike,
        weak: ArrayLike = _NO_PAIRS,
        doubt: ArrayLike = _NO_PAIRS,
        lists: Mapping[Any, ArrayLike] | None = None,
    ) -> None:
        self.place, self.cluster, self.side = (np.asarray(values, np.int64) for values in (place, cluster, side))
        self.weak, self.doubt = (np.asarray(pairs, np.int64).reshape(-1, 2) for pairs in (weak, doubt))
        self.lists = {int(query): np.unique(rows).astype(np.int64) for query, rows in (lists or {}).items()}
        self._use(self.place >= 0)
        self._possible = self._weak_places()

    def _use(self, used):
        self.used, self.background = used, used & (self.cluster < 0)

    def __len__(self) -> int:
        return len(self.place)

    def rows(self, side: int | None = None) -> np.ndarray:
        """Rows of the photos that may be used, on one side or on both, int64, sorted."""
        return np.flatnonzero(self.used if side is None else self.used & (self.side == side))

    def without(self, missing: np.ndarray) -> "NegativeRule":
        """The rule without some photos, bool [n], which cannot be used. Their pairs still say what other photos may show."""
        changed = copy.copy(self)
        changed._use(self.used & ~missing)
        return changed

    def related(self, photo: int, others: np.ndarray) -> np.ndarray:
        """Find the photos that may show the place of a photo.

        These are the photos of its place and of its cluster, and the photos of the places and clusters that a cut pair joins directly to
        its own: without the cut they would be one cluster. Doubt is not transitive (A - B and B - C say nothing about A - C), because in a
        large collection a chain of wrong pairs reaches nearly every place.

        Args:
            photo: row.
            others: int [k] rows.

        Returns:
            bool [k].
        """
        return self._related(photo, others, self.doubt)

    def may_show(self, photo: int, others: np.ndarray) -> np.ndarray:
        """Like `related`, and also True for background photos that have an uncertain pair with a photo of its place."""
        matched = self.weak[self.place[self.weak[:, 1]] == self.place[photo], 0]
        return self.related(photo, others) | np.isin(others, matched)

    def allowed(self, query: int, pool: np.ndarray) -> np.ndarray:
        """Find the photos of a pool that may be negatives of a query.

        Args:
            query: row.
            pool: int64 [p] rows.

        Returns:
            bool [p].
        """
        allowed = self.used[pool] & ~self.related(query, pool)
        if query in self.lists:
            allowed &= np.isin(pool, self.lists[query])
        own = self._possible[query][self._possible[query] >= 0]
        possible = self._possible[pool]
        # One photo may belong to the place of the other, or both photos to the same place.
        allowed &= ~((possible == self.place[query]).any(1) | np.isin(self.place[pool], own) | np.isin(possible, own).any(1))
        return allowed

    def by_doubt(self, photo: int) -> np.ndarray:
        """Rows of the used photos that would be negatives of a photo without the cut pairs, int64, sorted."""
        rows = self.rows()
        return rows[self.related(photo, rows) & ~self._related(photo, rows, _NO_PAIRS)]

    def weak_places(self, photo: int) -> np.ndarray:
        """Places to which a background photo may belong by its uncertain pairs, int64, sorted."""
        found = np.unique(self._possible[photo])
        return found[found >= 0]

    def wary(self, descriptors: np.ndarray, count: int = _NEAREST) -> "NegativeRule":
        """The rule in which a background photo is not a negative of its nearest places either.

        Geometry can prove that two photos show the same, but not that they differ: a photo of another side of a building, or of the
        building at night, has no matches with the photos of its place. So the nearest places by the starting network are in doubt too.

        Args:
            descriptors: float32 [n, D], by that network.
            count: number of nearest places in doubt.
        """
        changed = copy.copy(self)
        nearest = np.full((len(self), count), -1, np.int64)
        members = np.flatnonzero(self.used & ~self.background)
        members = members[np.argsort(self.place[members], kind="stable")]
        places, first = np.unique(self.place[members], return_index=True)
        background, described = np.flatnonzero(self.background), descriptors[members]
        for start in range(0, len(background) if len(places) else 0, _CHUNK):
            rows = background[start : start + _CHUNK]
            similarity = np.maximum.reduceat(descriptors[rows] @ described.T, first, axis=1)
            order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
            nearest[rows, : order.shape[1]] = places[order]
        changed._possible = np.concatenate([nearest, self._weak_places()], axis=1)
        return changed

    def joined_places(self, members: np.ndarray) -> list[tuple[int, int]]:
        """Find the places that may be the same.

        Args:
            members: int64 rows of photos in clusters.

        Returns:
            Pairs of different places of these photos, sorted.
        """
        found: set[tuple[int, int]] = set()
        _, first = np.unique(np.stack([self.place[members], self.cluster[members]]), axis=1, return_index=True)
        for row in members[first].tolist():
            own, others = int(self.place[row]), np.unique(self.place[members[self.related(row, members)]])
            found |= {(min(other, own), max(other, own)) for other in others.tolist() if other != own}
        return sorted(found)

    def partners(self, members: np.ndarray) -> dict[int, set[int]]:
        """Find the photos that may show the same as a background photo, by uncertain pairs and by cut pairs.

        Args:
            members: int64 rows; only cut pairs of these photos count.

        Returns:
            Background photo to the rows of these photos.
        """
        found: dict[int, set[int]] = {}
        for pair in self.weak.tolist():
            for one, other in (pair, pair[::-1]):
                if self.cluster[one] < 0:
                    found.setdefault(one, set()).add(other)
        for row in np.intersect1d(members[self.cluster[members] < 0], self.doubt).tolist():
            found.setdefault(row, set()).update(members[self.related(row, members)].tolist())
        return {row: others - {row} for row, others in found.items()}

    def _related(self, photo, others, doubt):
        own = np.array([photo])
        first, second = (self._alike(doubt[:, end], own) for end in (0, 1))
        return self._alike(others, np.concatenate([own, doubt[first, 1], doubt[second, 0]]))

    def _alike(self, photos, members):
        """Whether each of some photos has the place or the cluster of one of the members, bool [k]."""
        found = np.zeros(len(photos), bool)
        for label in (self.place, self.cluster):
            wanted = np.unique(label[members])
            found |= np.isin(label[photos], wanted[wanted >= 0])
        return found

    def _weak_places(self):
        """Places to which each background photo may belong by its uncertain pairs, int64 [n, c], filled with -1."""
        found = self.weak[self.background[self.weak[:, 0]] & (self.place[self.weak[:, 1]] >= 0)]
        pairs = np.unique(np.stack([found[:, 0], self.place[found[:, 1]]], 1), axis=0)
        column = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
        possible = np.full((len(self), column.max(initial=-1) + 1), -1, np.int64)
        possible[pairs[:, 0], column] = pairs[:, 1]
        return possible


def read_negatives(path: str | Path) -> NegativeRule:
    """Read an artefact of kind `negatives`.

    Raises:
        ArtefactError: it cannot be used.
    """
    arrays = artefact.read(path, "negatives")
    lists = {}
    if "only/query" in arrays:
        parts = zip(arrays["only/query"].tolist(), arrays["only/offset"][:-1], arrays["only/offset"][1:], strict=True)
        lists = {query: arrays["only/photo"][start:stop] for query, start, stop in parts}
    return NegativeRule(arrays["place"], arrays["cluster"], arrays["side"], arrays["weak"], arrays["doubt"], lists)


def write_negatives(path: str | Path, rule: NegativeRule, photos: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> None:
    """Write an artefact of kind `negatives`.

    Args:
        path: of the artefact.
        rule: its content.
        photos: the column of the photos, see `photos_of`.
        params: parameters of the artefact.

    Raises:
        WriteError: the disk is full or not writable.
    """
    arrays = {name: getattr(rule, name).astype(np.int32) for name in ("place", "cluster", "weak", "doubt")}
    arrays["side"] = rule.side.astype(np.int8)
    if rule.lists:
        queries = sorted(rule.lists)
        arrays["only/query"] = np.array(queries, np.int32)
        arrays["only/offset"] = artefact.offsets([len(rule.lists[query]) for query in queries])
        arrays["only/photo"] = np.concatenate([rule.lists[query] for query in queries]).astype(np.int32)
    artefact.write(path, "negatives", {**arrays, **photos}, params)


def used_rows(path: str | Path) -> np.ndarray:
    """Read the rows of the photos that pairs use from an artefact of kind `negatives`, int64, sorted. In a large collection they are few.

    Raises:
        ArtefactError: it cannot be used.
    """
    with artefact.Reader(path, "negatives") as reader:
        return np.flatnonzero(reader["place"] >= 0)
