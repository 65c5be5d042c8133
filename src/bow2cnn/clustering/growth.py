"""Growth: seeds become queries, verified results become queries, until every component is closed (Chum and Matas, PAMI 2010).

Sketches collide by chance, and small groups of photos may have no seed. So what no seed has joined looks at a few of its own best results,
which are seeds of another kind. And what has a component looks beyond it with parts of itself: sideways, closer and from further away.
"""

import functools
from math import ceil

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bow2cnn.clustering.crops import crop_rows
from bow2cnn.core import artefact
from bow2cnn.core.lineage import find_rows, lineage, lineage_of, load_previous, log_reuse
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.features.distances import distance_pool
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.epipolar import scale_fundamental
from bow2cnn.geometry.matching import (
    count_evidence,
    deduplicate_matches,
    is_degenerate,
    match_descriptors,
    static_fraction,
    verify_epipolar,
)
from bow2cnn.geometry.overlays import verify_unprinted
from bow2cnn.index.engine import Engine

_BLOCK = 10  # photos: a query goes down its shortlist by so many, and ends where none of them agrees with it
# Of the agreeing features that make another pair worth a full verification, so many are enough for one that was found by a part.
_OF_A_PART = 0.6
_UNKNOWN = object()


def grow_graph(
    index,
    seeds,
    features,
    out,
    shortlist,
    max_hamming,
    min_word_inliers,
    min_inliers,
    threads,
    orphan_shortlist=0,
    view_shortlist=0,
    code="",
):
    """Write the `graph` artefact: verified pairs of photos with their matches.

    Pairs that an earlier version of the artefact holds stay, and what was asked then is not asked again: the photos that are new
    since then are the seeds, each a query.

    Args:
        index, seeds: paths.
        features: paths of the `features` artefacts, in the order of the shards.
        shortlist: photos verified per query at most.
        min_word_inliers: inliers among the word matches that make a pair worth a full verification.
        min_inliers: epipolar inliers among all descriptors that make an edge; see `count_evidence` for which of them count.
        orphan_shortlist: photos verified with one that no seed has joined; 0 to leave it alone.
        view_shortlist: photos outside a photo's component that are verified with it because a part of it ranks them high; 0 for none.
        code: digest of the code, part of the lineage.
    """
    check_photos(index, seeds, features)
    made_with = lineage(
        "graph", lineage_of(seeds, "seeds"), shortlist, max_hamming, min_word_inliers, min_inliers, orphan_shortlist, view_shortlist, code
    )
    content = artefact.read(index, "index", ["content"])["content"]
    engine = Engine.load(index, max_hamming)
    grower = Grower(engine, FeatureStore(features), shortlist, min_word_inliers, min_inliers)
    known = grower.resume(load_previous(out, "graph", made_with), content)
    asked = grower.queried()
    pairs = artefact.read(seeds, "seeds", ["pair"])["pair"]
    pairs = pairs[~known[pairs].all(1)]
    cv2.setNumThreads(1)
    with distance_pool(threads) as pool:  # pairs in parallel, each on one thread
        grower.confirm({tuple(map(int, pair)): 0 for pair in pairs}, pool)
        if known.any():
            grower.confirm(grower.ask(np.flatnonzero(~known).tolist(), pool), pool)
        grower.close(pool)
        if orphan_shortlist:
            grower.confirm(grower.ask(grower.orphans(), pool, orphan_shortlist), pool)
            grower.close(pool)
        while view_shortlist and len(beyond := np.setdiff1d(grower.queried(), asked)):
            asked = grower.queried()
            grower.confirm(grower.look_around(beyond.tolist(), pool, view_shortlist), pool)
            grower.close(pool)
    limits = {
        "shortlist": shortlist,
        "orphan_shortlist": orphan_shortlist,
        "view_shortlist": view_shortlist,
        "min_word_inliers": min_word_inliers,
        "min_inliers": min_inliers,
    }
    artefact.write(out, "graph", {**grower.arrays(), "content": content, **photos_of(index)}, {**limits, "lineage": made_with})


class Grower:
    """The state of the growth: which photos were queried, with how many others verified, which pairs were confirmed or refused."""

    def __init__(self, engine, store, shortlist, min_word_inliers, min_inliers, block=_BLOCK):
        self._engine, self._store, self._block = engine, store, block
        self._shortlist, self._min_word_inliers, self._min_inliers = shortlist, min_word_inliers, min_inliers
        self._queried = np.zeros(len(engine), bool)
        self._verified, self._beyond = np.zeros(len(engine), np.int32), np.zeros(len(engine), np.int32)
        self._pairs = {}  # (first, second) -> (tentative, fundamental, matches, unmoved), or None when refused

    def resume(self, arrays, content):
        """Take over what an earlier graph (its arrays, or None) says of photos that are still there; bool [n], which were in it."""
        if arrays is None:
            return np.zeros(len(content), bool)
        now = find_rows(content, arrays["content"])  # of every photo of the earlier graph
        still = now >= 0
        for own, name in ((self._queried, "queried"), (self._verified, "verified"), (self._beyond, "verified_beyond")):
            own[now[still]] = arrays[name][still]
        for edge in np.flatnonzero(still[arrays["pair"]].all(1)):
            (a, b), fundamental = now[arrays["pair"][edge]].tolist(), arrays["fundamental"][edge]
            match = arrays["match"][slice(*arrays["match_offset"][edge : edge + 2])]
            if a > b:
                a, b, fundamental, match = b, a, fundamental.T, np.ascontiguousarray(match[:, ::-1])
            self._pairs[a, b] = int(arrays["tentative"][edge]), fundamental, match, float(arrays["unmoved"][edge])
        for a, b in now[arrays["refused"]].tolist():
            if min(a, b) >= 0:
                self._pairs[min(a, b), max(a, b)] = None
        known = np.zeros(len(content), bool)
        known[now[still]] = True
        log_reuse("graph", int(np.count_nonzero(~known)), len(known))
        return known

    def frontier(self):
        """Photos with a confirmed pair that were not queried yet, sorted."""
        linked = {photo for pair, edge in self._pairs.items() if edge is not None for photo in pair}
        return sorted(photo for photo in linked if not self._queried[photo])

    def queried(self):
        """Photos that were asked with, sorted, int64."""
        return np.flatnonzero(self._queried)

    def orphans(self):
        """Photos that nothing was verified with, sorted."""
        return np.flatnonzero(~self._queried & (self._verified == 0)).tolist()

    def close(self, pool):
        """Ask with all that is found, until nothing more is."""
        while frontier := self.frontier():
            self.confirm(self.ask(frontier, pool), pool)

    def ask(self, photos, pool, most=None):
        """Query with each photo, which looks at so many others at most (None for the shortlist): candidate pairs and their verified word
        matches. Only with the whole shortlist does a photo count as queried.
        """
        most = self._shortlist if most is None else most
        answers = pool.map(lambda photo: self._query(photo, most), photos)
        candidates = self._candidates(photos, answers, self._verified, self._min_word_inliers)
        self._queried[photos] |= most == self._shortlist
        return candidates

    def look_around(self, photos, pool, most):
        """Query with the parts of each photo, which is verified with the `most` photos outside its component that one of them ranks
        highest: candidate pairs and their verified word matches.
        """
        pairs = np.array([pair for pair, edge in self._pairs.items() if edge is not None]).reshape(-1, 2)
        component = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=2 * [len(self._engine)]), directed=False)[1]
        answers = pool.map(lambda photo: self._look_around(photo, most, component), photos)
        return self._candidates(photos, answers, self._beyond, ceil(_OF_A_PART * self._min_word_inliers))

    def _candidates(self, photos, answers, verified, least):
        candidates = {}
        for photo, (found, inliers) in zip(photos, progress(answers, "queries", len(photos)), strict=True):
            verified[photo] += len(found)
            for other, count in zip(found, inliers, strict=True):
                if count >= least:
                    pair = _ordered(photo, other)
                    candidates[pair] = max(int(count), candidates.get(pair, 0))
        return candidates

    def confirm(self, candidates, pool):
        """Verify candidate pairs with all their descriptors."""
        pairs = sorted(candidates)
        for pair, edge in zip(pairs, progress(pool.map(self._match, pairs), "pairs", len(pairs)), strict=True):
            self._pairs[pair] = None if edge is None else (candidates[pair], *edge)

    def arrays(self):
        edges = [(pair, edge) for pair, edge in sorted(self._pairs.items()) if edge is not None]
        matches = [edge[2] for _, edge in edges]
        return {
            "pair": np.array([pair for pair, _ in edges], np.int32).reshape(-1, 2),
            "tentative": np.array([edge[0] for _, edge in edges], np.int32),
            "inliers": np.array([len(match) for match in matches], np.int32),
            "fundamental": np.array([edge[1] for _, edge in edges], np.float64).reshape(-1, 3, 3),
            "unmoved": np.array([edge[3] for _, edge in edges], np.float32),
            "match_offset": artefact.offsets([len(match) for match in matches]),
            "match": np.concatenate([np.zeros((0, 2), np.int32), *matches]),
            "queried": self._queried,
            "verified": self._verified,
            "verified_beyond": self._beyond,
            "refused": np.array(sorted(pair for pair, edge in self._pairs.items() if edge is None), np.int32).reshape(-1, 2),
        }

    def _query(self, photo, most):
        """The photos that were verified, best first, and their inliers. Pairs that are known already are not looked at again."""
        words = self._engine.words(photo)
        ranked, _ = self._engine.rank(words, most + 1)
        ranked = ranked[ranked != photo][:most].tolist()
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

    def _look_around(self, photo, most, component):
        """As `_query`."""
        words, places = self._engine.words(photo), {}
        for rows in crop_rows(words.keypoint, words.size):
            ranked = self._engine.rank(words.select(rows), self._shortlist)[0].tolist()
            beyond = [other for other in ranked if component[other] != component[photo] and _ordered(photo, other) not in self._pairs]
            for place, other in enumerate(beyond[:most]):
                places[other] = min(place, places.get(other, most))
        chosen = sorted(places, key=lambda other: (places[other], other))[:most]
        return chosen, self._engine.verify_all(words, chosen)[0].tolist()

    def _match(self, pair):
        """Fundamental matrix (of full pixels), matches (feature rows) and how much of them is `unmoved`, of a pair, or None."""
        (rows_a, keypoint_a, descriptor_a), (rows_b, keypoint_b, descriptor_b) = (self._unmarked(photo) for photo in pair)
        scales = [self._store.scale(photo) for photo in pair]
        found_a, found_b = keypoint_a[:, :2] / scales[0], keypoint_b[:, :2] / scales[1]
        match = deduplicate_matches(found_a, found_b, match_descriptors(descriptor_a, descriptor_b))
        sizes = [self._engine.size[photo] for photo in pair]
        features = max(len(rows_a), len(rows_b))
        verify = functools.partial(verify_epipolar, found_a, found_b)
        fundamental, inliers = verify_unprinted(verify, match, keypoint_a, keypoint_b, *sizes, features)
        if count_evidence(keypoint_a[inliers[:, 0]], keypoint_b[inliers[:, 1]], *sizes) < self._min_inliers:
            return None
        if is_degenerate(keypoint_a, keypoint_b, inliers, *sizes):
            return None
        matches = np.stack([rows_a[inliers[:, 0]], rows_b[inliers[:, 1]]], 1)
        return scale_fundamental(fundamental, *scales), matches, static_fraction(keypoint_a, keypoint_b, inliers, *sizes)

    def _unmarked(self, photo):
        """Rows, keypoints and descriptors of the features that belong to no watermark."""
        rows = np.sort(self._engine.words(photo).feature)
        keypoint, descriptor = self._store[photo]
        return rows, keypoint[rows], descriptor[rows]


def _ordered(a, b):
    return (a, b) if a < b else (b, a)
