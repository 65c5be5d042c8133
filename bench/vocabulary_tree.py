"""Compare the teacher's verified ranking with COLMAP's (vocabulary tree, matching, verification), with a whole collection as distractors.

    python bench/vocabulary_tree.py RESULTS BENCHMARK [--shortlist 100] [--threads 2] [--rows bow2cnn COLMAP]

RESULTS is a run up to the stage `retrieval` with the benchmark BENCHMARK. The database has the photos of the benchmark and all photos of
the collection. COLMAP extracts its own features (SIFT, at most 4,096), builds a vocabulary tree of 16,384 words from the collection, takes
the tree's shortlist of every query, matches and verifies it (with its defaults), and ranks it by inliers. Both programs verify shortlists
of the same length. Seconds are from features to ranking for all queries together, without indexing: wall time, for which COLMAP has
`--threads` threads and bow2cnn has one, and processor time.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pycolmap
from clock import Clock
from colmap_peer import WORDS, build_tree, extract
from distractors import Pool
from threadpoolctl import threadpool_limits

from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, search
from bow2cnn.search.searcher import DEFAULTS

SAMPLE = 40 * WORDS  # descriptors that COLMAP's tree is built from: as many as faiss, which trains it, asks for


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("benchmark")
    parser.add_argument("--shortlist", type=int, default=DEFAULTS["shortlist"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    pool = Pool(options.results, options.benchmark)
    print(pool)
    for name in options.rows:
        rankings, seconds = ROWS[name](pool, options)
        wall, processor = (1000 * part / len(rankings) for part in seconds)
        print(f"{name}: mAP {pool.maps(rankings)}; {wall:.0f} ms per query, {processor:.0f} ms of the processor", flush=True)


def ours(pool, options):
    """Our verified rankings and their seconds."""
    engine, words = pool.engine()
    settings = {"expansion_inliers": DEFAULTS["expansion_inliers"], "shortlist": options.shortlist, "max_expansion": 0}
    settings["min_inliers"] = MIN_EVIDENCE
    with threadpool_limits(1):
        search(engine, words(*pool.own[pool.truth.query[0]]), **settings)  # compiles
        features = [pool.own[row] for row in pool.truth.query.tolist()]
        clock = Clock()
        rankings = [search(engine, words(*found), **settings)["sv"].photo for found in features]
        return rankings, clock.lap()


def theirs(pool, options):
    with tempfile.TemporaryDirectory() as folder:
        peer = Colmap(pool, Path(folder), options)
        clock = Clock()
        shortlists = peer.shortlists()
        peer.match(shortlists)
        rankings = [peer.ranking(query, shortlist) for query, shortlist in enumerate(shortlists)]
        return rankings, clock.lap()


ROWS = {"bow2cnn": ours, "COLMAP": theirs}


class Colmap:
    """A database of the pool's photos. Images are named by the number of the photo, queries by q and their number."""

    def __init__(self, pool, folder, options):
        self._options, self._path = options, folder / "peer.db"
        images = folder / "images"
        images.mkdir()
        queries, photos = pool.paths()
        self._photos, self._queries = len(photos), len(queries)
        for names, paths in ((map(str, range(len(photos))), photos), (self._query_names(), queries)):
            for name, path in zip(names, paths, strict=True):
                (images / f"{name}{Path(path).suffix}").symlink_to(Path(path).resolve())
        extract(self._path, images, options.threads)
        self._database = pycolmap.Database.open(self._path)
        found = {Path(image.name).stem: image for image in self._database.read_all_images()}
        self._files = {name: image.name for name, image in found.items()}
        self._ids = {name: image.image_id for name, image in found.items()}
        self._names = {number: name for name, number in self._ids.items()}
        collection = [self._ids[name] for name in map(str, range(len(pool.truth.database), len(photos))) if name in self._ids]
        self._tree = build_tree(self._database, collection, folder / "tree.bin", options.threads, SAMPLE)
        self._generator = self._index()

    def _query_names(self):
        return [f"q{query}" for query in range(self._queries)]

    def _index(self):
        """Add every image to the tree's index. A query may find other queries in it, so it asks for a longer shortlist."""
        pairing = pycolmap.VocabTreePairingOptions(num_threads=self._options.threads, vocab_tree_path=self._tree)
        pairing.num_images = self._options.shortlist + self._queries
        return pycolmap.VocabTreePairGenerator(pairing, self._database, [self._ids[name] for name in self._query_names()])

    def shortlists(self):
        """Per query the photos that the tree finds, best first."""
        found = {name: [] for name in self._query_names()}
        while not self._generator.has_finished():
            for pair in self._generator.next():
                names = [self._names[number] for number in pair]
                query, photo = names if names[0] in found else names[::-1]
                if query in found and photo not in found and len(found[query]) < self._options.shortlist:
                    found[query].append(int(photo))
        return list(found.values())

    def match(self, shortlists):
        pairs = self._path.with_suffix(".txt")
        lines = [
            f"{self._files[f'q{query}']} {self._files[str(photo)]}\n" for query, shortlist in enumerate(shortlists) for photo in shortlist
        ]
        pairs.write_text("".join(lines))
        matching = pycolmap.FeatureMatchingOptions(num_threads=self._options.threads, use_gpu=False)
        pycolmap.match_image_pairs(self._path, matching, pycolmap.ImportedPairingOptions(match_list_path=pairs))

    def ranking(self, query, shortlist):
        """The shortlist by inliers (ties in its order), then all other photos."""
        inliers = [
            len(self._database.read_two_view_geometry(self._ids[f"q{query}"], self._ids[str(photo)]).inlier_matches) for photo in shortlist
        ]
        first = np.array(shortlist, np.int64)[np.argsort(-np.array(inliers, np.int64), kind="stable")]
        return np.concatenate([first, np.setdiff1d(np.arange(self._photos), first)])


if __name__ == "__main__":
    main()
