"""Growth: seeds become queries, verified results become queries, until no component grows (Chum and Matas, PAMI 2010).

Sketches collide by chance, so a small group of photos may have no seed. So every orphan (a photo that nothing was verified with) is
verified with a few of its own best results, which may become further seeds. And every photo of a component looks for photos outside of it
with crops of itself: sideways, closer and from further away. In the end photos that match the same photos are compared with each other.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bow2cnn.clustering.common_neighbours import open_triangles
from bow2cnn.clustering.crops import crop_rows
from bow2cnn.core import artefact
from bow2cnn.core.lineage import find_rows, lineage, lineage_of, load_previous, log_reuse
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.features.distances import distance_pool
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import verify_pair
from bow2cnn.index.engine import Engine
from bow2cnn.index.photo_features import photo_features

_BLOCK = 10  # photos of a shortlist that are verified at once; a query ends after a block in which nothing agrees with it
_CROP_FACTOR = 0.6  # for a pair that a crop found, this fraction of `min_word_inliers` is enough for a full verification
_UNKNOWN = object()


def grow_graph(
    index: str | Path,
    seeds: str | Path,
    features: Sequence[str | Path],
    out: str | Path,
    shortlist: int,
    max_hamming: int,
    min_word_inliers: int,
    min_inliers: int,
    threads: int,
    orphan_shortlist: int = 0,
    view_shortlist: int = 0,
    neighbour_shortlist: int = 0,
    code: str = "",
) -> None:
    """Write the `graph` artefact: verified pairs of photos with their matches.

    If `out` holds an earlier graph of the same lineage, its pairs stay, and its queries are not repeated. Then the new photos are seeds:
    each of them is a query.

    Args:
        index, seeds: paths of the artefacts.
        features: paths of the `features` artefacts, in the order of the shards.
        out: path of the artefact to write.
        shortlist: maximum number of photos that are verified per query.
        max_hamming: see `Engine`.
        min_word_inliers: inliers among the matches of words that make a pair worth a full verification.
        min_inliers: epipolar inliers among all descriptors that make an edge; `count_evidence` says which of them count.
        threads: worker threads; the result does not depend on their number.
        orphan_shortlist: number of photos that are verified with each photo without a seed; 0 disables this.
        view_shortlist: number of photos outside a photo's component that are verified with it because one of its crops ranks them high;
            0 disables this.
        neighbour_shortlist: maximum number of photos that each photo is compared with because they match the same photos; 0 disables this.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: an input cannot be used, or is of other photos than the index.
        WriteError: the disk is full or not writable.
    """
    check_photos(index, seeds, features)
    limits = {
        "shortlist": shortlist,
        "orphan_shortlist": orphan_shortlist,
        "view_shortlist": view_shortlist,
        "neighbour_shortlist": neighbour_shortlist,
        "min_word_inliers": min_word_inliers,
        "min_inliers": min_inliers,
    }
    made_with = lineage("graph", lineage_of(seeds, "seeds"), max_hamming, *limits.values(), code)
    content = artefact.read(index, "index", ["content"])["content"]
    engine = Engine.load(index, max_hamming)
    grower = Grower(engine, FeatureStore(features), shortlist, min_word_inliers, min_inliers)
    known = grower.resume(load_previous(out, "graph", made_with), content)
    asked = grower.queried()
    pairs = artefact.read(seeds, "seeds", ["pair"])["pair"]
    pairs = pairs[~known[pairs].all(1)]
    cv2.setNumThreads(1)
    with distance_pool(threads) as pool:  # pairs in parallel, each on one thread
        grower.confirm({(int(a), int(b)): 0 for a, b in pairs}, pool)
        if known.any():
            grower.confirm(grower.ask(np.flatnonzero(~known).tolist(), pool), pool)
        grower.close(pool)
        if orphan_shortlist:
            grower.confirm(grower.ask(grower.orphans(), pool, orphan_shortlist), pool)
            grower.close(pool)
        while view_shortlist and len(new := np.setdiff1d(grower.queried(), asked)):
            asked = grower.queried()
            grower.confirm(grower.look_around(new.tolist(), pool, view_shortlist), pool)
            grower.close(pool)
        if neighbour_shortlist:
            grower.confirm(grower.open_triangles(neighbour_shortlist), pool)
    artefact.write(out, "graph", {**grower.arrays(), "content": content, **photos_of(index)}, {**limits, "lineage": made_with})


class Grower:
    """The state of the growth: the photos that were queries, with how many photos each was verified, and the pairs confirmed or refused.

    Candidate pairs are dicts of (first, second), first < second, to the number of inliers among the matches of words.

    Args:
        engine: the index.
        store: the features of its photos.
        shortlist, min_word_inliers, min_inliers: see `grow_graph`.
        block: number of photos of a shortlist that are verified at once.
    """

    def __init__(
        self, engine: Engine, store: FeatureStore, shortlist: int, min_word_inliers: int, min_inliers: int, block: int = _BLOCK
    ) -> None:
        self._engine, self._store, self._block = engine, store, block
        self._shortlist, self._min_word_inliers, self._min_inliers = shortlist, min_word_inliers, min_inliers
        self._queried = np.zeros(len(engine), bool)
        self._verified, self._verified_outside = np.zeros(len(engine), np.int32), np.zeros(len(engine), np.int32)
        # (first, second) -> (tentative, fundamental, matches, unmoved), or None when refused
        self._pairs: dict[tuple[int, int], tuple[int, np.ndarray, np.ndarray, float] | None] = {}

    def resume(self, arrays: dict[str, np.ndarray] | None, content: np.ndarray) -> np.ndarray:
        """Take over the results of an earlier graph for the photos that are still there.

        Args:
            arrays: of the earlier `graph` artefact, or None.
            content: uint8 [n, 32], digest of each photo's input.

        Returns:
            The photos that were in the earlier graph, bool [n].
        """
        if arrays is None:
            return np.zeros(len(content), bool)
        now = find_rows(content, arrays["content"])  # of every photo of the earlier graph
        present = now >= 0
        for own, name in ((self._queried, "queried"), (self._verified, "verified"), (self._verified_outside, "verified_beyond")):
            own[now[present]] = arrays[name][present]
        for edge in np.flatnonzero(present[arrays["pair"]].all(1)):
            (a, b), fundamental = now[arrays["pair"][edge]].tolist(), arrays["fundamental"][edge]
            match = arrays["match"][slice(*arrays["match_offset"][edge : edge + 2])]
            if a > b:
                a, b, fundamental, match = b, a, fundamental.T, np.ascontiguousarray(match[:, ::-1])
            self._pairs[a, b] = int(arrays["tentative"][edge]), fundamental, match, float(arrays["unmoved"][edge])
        for a, b in now[arrays["refused"]].tolist():
            if min(a, b) >= 0:
                self._pairs[min(a, b), max(a, b)] = None
        known = np.zeros(len(content), bool)
        known[now[present]] = True
        log_reuse("graph", int(np.count_nonzero(~known)), len(known))
        return known

    def frontier(self) -> list[int]:
        """Photos with a confirmed pair that have not been queries, sorted."""
        linked = {photo for pair, edge in self._pairs.items() if edge is not None for photo in pair}
        return sorted(photo for photo in linked if not self._queried[photo])

    def queried(self) -> np.ndarray:
        """Photos that have been queries, int64, sorted."""
        return np.flatnonzero(self._queried)

    def orphans(self) -> list[int]:
        """Photos that nothing was verified with, sorted."""
        return np.flatnonzero(~self._queried & (self._verified == 0)).tolist()

    def close(self, pool: Executor) -> None:
        """Make every photo with a confirmed pair a query, until there are no new pairs."""
        while frontier := self.frontier():
            self.confirm(self.ask(frontier, pool), pool)

    def ask(self, photos: Sequence[int], pool: Executor, limit: int | None = None) -> dict[tuple[int, int], int]:
        """Use each photo as a query.

        Args:
            photos: rows.
            pool: of the worker threads.
            limit: maximum number of photos that are verified with each query; None for the whole shortlist. With a smaller limit the photos
                do not count as queried.

        Returns:
            Candidate pairs.
        """
        limit = self._shortlist if limit is None else limit
        answers = pool.map(lambda photo: self._query(photo, limit), photos)
        candidates = self._candidates(photos, answers, self._verified, self._min_word_inliers)
        self._queried[photos] |= limit == self._shortlist
        return candidates

    def look_around(self, photos: Sequence[int], pool: Executor, limit: int) -> dict[tuple[int, int], int]:
        """Use the crops of each photo as queries for photos outside its component.

        Args:
            photos: rows.
            pool: of the worker threads.
            limit: maximum number of photos that are verified with each photo: those that one of its crops ranks highest.

        Returns:
            Candidate pairs.
        """
        pairs = self._joined()
        component = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=2 * [len(self._engine)]), directed=False)[1]
        answers = pool.map(lambda photo: self._look_around(photo, limit, component), photos)
        return self._candidates(photos, answers, self._verified_outside, ceil(_CROP_FACTOR * self._min_word_inliers))

    def open_triangles(self, limit: int) -> dict[tuple[int, int], int]:
        """Candidate pairs of photos that match the same photos, at most `limit` of each; their words have not been compared (0 inliers)."""
        return dict.fromkeys(open_triangles(self._joined(), self._refused(), len(self._engine), limit), 0)

    def _joined(self):
        return np.array(sorted(pair for pair, edge in self._pairs.items() if edge is not None), np.int32).reshape(-1, 2)

    def _refused(self):
        return np.array(sorted(pair for pair, edge in self._pairs.items() if edge is None), np.int32).reshape(-1, 2)

    def _candidates(self, photos, answers, verified, min_word_inliers):
        """Candidate pairs of the answers to queries; counts in `verified` how many photos each query was verified with."""
        candidates = {}
        for photo, (found, inliers) in zip(photos, progress(answers, "queries", len(photos)), strict=True):
            verified[photo] += len(found)
            for other, count in zip(found, inliers, strict=True):
                if count >= min_word_inliers:
                    pair = _ordered(photo, other)
                    candidates[pair] = max(int(count), candidates.get(pair, 0))
        return candidates

    def confirm(self, candidates: dict[tuple[int, int], int], pool: Executor) -> None:
        """Verify candidate pairs with all their descriptors."""
        pairs = sorted(candidates)
        for pair, edge in zip(pairs, progress(pool.map(self._match, pairs), "pairs", len(pairs)), strict=True):
            self._pairs[pair] = None if edge is None else (candidates[pair], edge.fundamental, edge.match, edge.unmoved)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the `graph` artefact, without `content` (see docs/architecture.md)."""
        edges = [edge for _, edge in sorted(self._pairs.items()) if edge is not None]
        matches = [edge[2] for edge in edges]
        return {
            "pair": self._joined(),
            "tentative": np.array([edge[0] for edge in edges], np.int32),
            "inliers": np.array([len(match) for match in matches], np.int32),
            "fundamental": np.array([edge[1] for edge in edges], np.float64).reshape(-1, 3, 3),
            "unmoved": np.array([edge[3] for edge in edges], np.float32),
            "match_offset": artefact.offsets([len(match) for match in matches]),
            "match": np.concatenate([np.zeros((0, 2), np.int32), *matches]),
            "queried": self._queried,
            "verified": self._verified,
            "verified_beyond": self._verified_outside,
            "refused": self._refused(),
        }

    def _query(self, photo, limit):
        """The photos that were verified with a query, best first, and their inliers. Known pairs are not verified again."""
        words = self._engine.words(photo)
        ranked, _ = self._engine.rank(words, limit + 1)
        ranked = ranked[ranked != photo][:limit].tolist()
        verified, inliers = [], []
        for start in range(0, len(ranked), self._block):
            edges = {other: self._pairs.get(_ordered(photo, other), _UNKNOWN) for other in ranked[start : start + self._block]}
            new = [other for other, edge in edges.items() if edge is _UNKNOWN]
            counts = self._engine.verify_all(words, new)[0].tolist()
            verified += new
            inliers += counts
            joined = any(edge is not None and edge is not _UNKNOWN for edge in edges.values())
            if not joined and max(counts, default=0) < self._min_word_inliers:
                break
        return verified, inliers

    def _look_around(self, photo, limit, component):
        """The photos outside a photo's component that were verified with it, best first, and their inliers."""
        words, best_rank = self._engine.words(photo), {}
        for rows in crop_rows(words.keypoint, words.size):
            ranked = self._engine.rank(words.select(rows), self._shortlist)[0].tolist()
            outside = [other for other in ranked if component[other] != component[photo] and _ordered(photo, other) not in self._pairs]
            for rank, other in enumerate(outside[:limit]):
                best_rank[other] = min(rank, best_rank.get(other, limit))
        chosen = sorted(best_rank, key=lambda other: (best_rank[other], other))[:limit]
        return chosen, self._engine.verify_all(words, chosen)[0].tolist()

    def _match(self, pair):
        """What a pair of photos has in common, by all their features; None if the pair is refused."""
        first, second = (photo_features(self._engine, self._store, photo) for photo in pair)
        return verify_pair(first, second, self._min_inliers)


def _ordered(a, b):
    return (a, b) if a < b else (b, a)
