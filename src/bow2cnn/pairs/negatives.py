"""Who may be a negative of whom, for all photos of a collection.

Photos of one place show the same. Those of one cluster may: a chain of verified pairs joins them, though no model does. Then there is
doubt. Clustering cuts verified pairs that are too weak to join two clusters. A cut keeps 3D models of two places apart. It proves no
difference: of the pairs cut in collections of landmarks most are right. So photos that such a pair joins are no negatives of each other.
"""

import copy

import numpy as np

from bow2cnn.core import artefact

_NEAREST = 2  # places nearest to a background photo that it may belong to
_CHUNK = 256  # background photos at a time, to bound the matrix of similarities
_NO_PAIRS = np.zeros((0, 2), np.int64)


class NegativeRule:
    """The only code that interprets places, clusters and doubt.

    Args:
        place: int [n], number of a photo's place; -1 for a photo that must not be used.
        cluster: int [n], -1 for a photo in none. A photo that is used and in no cluster is a background photo: a place of its own.
        side: int [n], `TRAIN`, `VALIDATION`, or 0.
        weak: int [k, 2], background photos and photos with which they have something in common, too little to join them.
        doubt: int [d, 2], pairs of photos that were cut.
        lists: row of a query to the int rows of the only photos that may be its negatives, for sources that say so themselves; queries
            that are not there have no such list.

    Attributes:
        place, cluster, side, weak, doubt, lists: the same, int64.
        used: bool [n], photos that may be used.
        background: bool [n], used photos outside every cluster.
    """

    def __init__(self, place, cluster, side, weak=_NO_PAIRS, doubt=_NO_PAIRS, lists=None):
        self.place, self.cluster, self.side = (np.asarray(values, np.int64) for values in (place, cluster, side))
        self.weak, self.doubt = (np.asarray(pairs, np.int64).reshape(-1, 2) for pairs in (weak, doubt))
        self.lists = {int(query): np.unique(rows).astype(np.int64) for query, rows in (lists or {}).items()}
        self._use(self.place >= 0)
        self._possible = self._weak_places()

    def _use(self, used):
        self.used, self.background = used, used & (self.cluster < 0)

    def __len__(self):
        return len(self.place)

    def rows(self, side: int | None = None) -> np.ndarray:
        """Rows of the photos that may be used, of one side or of both, int64."""
        return np.flatnonzero(self.used if side is None else self.used & (self.side == side))

    def without(self, missing: np.ndarray) -> "NegativeRule":
        """The same where some photos, bool [n], cannot be used. What is known of them still says what the others may show."""
        changed = copy.copy(self)
        changed._use(self.used & ~missing)
        return changed

    def related(self, photo: int, others: np.ndarray) -> np.ndarray:
        """Which photos may show the place of another photo, bool [k].

        These are the photos of its place and of its cluster, and those of the places and clusters that a doubtful pair joins directly to
        its own: had the pair been kept, they would be one cluster. Doubt is not passed on (A - B and B - C say nothing of A - C), because
        in a large collection a chain of wrong pairs reaches nearly every place.

        Args:
            photo: row.
            others: int [k] rows.
        """
        return self._related(photo, others, self.doubt)

    def may_show(self, photo: int, others: np.ndarray) -> np.ndarray:
        """The same, and background photos that have something in common with a photo of its place."""
        matched = self.weak[self.place[self.weak[:, 1]] == self.place[photo], 0]
        return self.related(photo, others) | np.isin(others, matched)

    def allowed(self, query: int, pool: np.ndarray) -> np.ndarray:
        """Which photos of a pool, int64 [p] rows, may be negatives of a query, bool [p]."""
        allowed = self.used[pool] & ~self.related(query, pool)
        if query in self.lists:
            allowed &= np.isin(pool, self.lists[query])
        own = self._possible[query][self._possible[query] >= 0]
        possible = self._possible[pool]
        # One may belong to the place of the other, or both to the same.
        allowed &= ~((possible == self.place[query]).any(1) | np.isin(self.place[pool], own) | np.isin(possible, own).any(1))
        return allowed

    def by_doubt(self, photo: int) -> np.ndarray:
        """Rows of used photos that only doubt keeps from being negatives of a photo, int64."""
        rows = self.rows()
        return rows[self.related(photo, rows) & ~self._related(photo, rows, _NO_PAIRS)]

    def weak_places(self, photo: int) -> np.ndarray:
        """Places with whose photos a background photo has something in common, int64, sorted."""
        found = np.unique(self._possible[photo])
        return found[found >= 0]

    def wary(self, descriptors: np.ndarray, count: int = _NEAREST) -> "NegativeRule":
        """The same, where a background photo is no negative of the places nearest to it either.

        Geometry can vouch for a pair that matches, never for one that does not: another side of the building, or the same at night, shares
        no feature with any photo of its place. So the few nearest places by the starting network are in doubt too.

        Args:
            descriptors: float32 [n, D] by that network.
            count: nearest places in doubt.
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

    def joined_places(self, members: np.ndarray) -> list:
        """Pairs of different places of some photos that may be the same, sorted; `members` are int64 rows in clusters."""
        found = set()
        _, first = np.unique(np.stack([self.place[members], self.cluster[members]]), axis=1, return_index=True)
        for row in members[first].tolist():
            own, others = int(self.place[row]), np.unique(self.place[members[self.related(row, members)]])
            found |= {(min(other, own), max(other, own)) for other in others.tolist() if other != own}
        return sorted(found)

    def partners(self, members: np.ndarray) -> dict:
        """Background photo to the set of the photos that may show what it shows, weak and doubtful pairs together.

        Args:
            members: int64 rows, among which doubtful pairs are looked for.
        """
        found = {}
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
        """Which photos have the place or the cluster of one of the members, bool [k]."""
        found = np.zeros(len(photos), bool)
        for label in (self.place, self.cluster):
            wanted = np.unique(label[members])
            found |= np.isin(label[photos], wanted[wanted >= 0])
        return found

    def _weak_places(self):
        """Places that a background photo may belong to by its weak pairs, int64 [n, c], -1 where there is none."""
        found = self.weak[self.background[self.weak[:, 0]] & (self.place[self.weak[:, 1]] >= 0)]
        pairs = np.unique(np.stack([found[:, 0], self.place[found[:, 1]]], 1), axis=0)
        column = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
        possible = np.full((len(self), column.max(initial=-1) + 1), -1, np.int64)
        possible[pairs[:, 0], column] = pairs[:, 1]
        return possible


def read_negatives(path) -> NegativeRule:
    """Read an artefact of kind `negatives`.

    Raises:
        ArtefactError: it cannot be used.
    """
    arrays = artefact.read(path, "negatives")
    lists = {}
    if "only/query" in arrays:
        parts = zip(arrays["only/query"].tolist(), arrays["only/offset"][:-1], arrays["only/offset"][1:], strict=True)
        lists = {query: arrays["only/photo"][start:stop] for query, start, stop in parts}
    return NegativeRule(*(arrays[name] for name in ("place", "cluster", "side", "weak", "doubt")), lists)


def write_negatives(path, rule: NegativeRule, photos: dict, params: dict) -> None:
    """Write an artefact of kind `negatives`; `photos` is the column of the photos, see `photos_of`."""
    arrays = {name: getattr(rule, name).astype(np.int32) for name in ("place", "cluster", "weak", "doubt")}
    arrays["side"] = rule.side.astype(np.int8)
    if rule.lists:
        queries = sorted(rule.lists)
        arrays["only/query"] = np.array(queries, np.int32)
        arrays["only/offset"] = artefact.offsets([len(rule.lists[query]) for query in queries])
        arrays["only/photo"] = np.concatenate([rule.lists[query] for query in queries]).astype(np.int32)
    artefact.write(path, "negatives", {**arrays, **photos}, params)


def used_rows(path) -> np.ndarray:
    """Rows of the photos that pairs use, int64, by their artefact of kind `negatives`: of a large collection few."""
    with artefact.Reader(path, "negatives") as reader:
        return np.flatnonzero(reader["place"] >= 0)
