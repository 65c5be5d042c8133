"""Measure how the index grows: build and query indexes of more and more photos, real ones followed by invented ones.

    python bench/scale.py RESULTS FOLDER [--photos 1000 4000 16000 64000 256000] [--features 700] [--queries 50] [--builds 3]

RESULTS is a run up to the stage `index`. Its photos come first, with their strongest `--features` features. The other photos are invented:
they have the size and the number of features of a real photo, and features drawn from all real ones, with word and frame, and the signature
of another feature of that word with three bits in ten drawn anew. `build_index` builds every size in FOLDER (which needs 160 bytes per
feature) three times, and the median time counts. Then real photos are searched, with soft assignment, verification and expansion. Each
measurement is a process of its own with one thread. "Ranking" is the time of a shortlist. Memory is the largest memory that belongs to the
process alone; the part of the mapped files that is in memory is given beside it, and can be released. The figures are also written to
FOLDER/scale.json, for bench/outlook.py.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
from separate_process import in_separate_process

from bow2cnn.core import artefact
from bow2cnn.core.progress import progress
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.build import build_index
from bow2cnn.index.engine import Engine
from bow2cnn.index.query_words import quantise_query
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, search
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS
from bow2cnn.vocabulary.vocabulary import Vocabulary

SHARD = 4000
FLIPPED = 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 4000, 16000, 64000, 256000])
    parser.add_argument("--features", type=int, default=700)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--builds", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    run = Run.open(options.results)
    real = Real(run, options.features)
    queries = real_queries(run, options.features, options.queries)
    rows = []
    for photos in options.photos:
        folder = options.folder / str(photos)
        words = make_words(real, photos, folder)
        arguments = build, folder, words, run.path("vocabulary")
        builds = [in_separate_process(*arguments) for _ in range(options.builds)]
        built = sorted(builds, key=lambda found: found["seconds"])[options.builds // 2]
        for path in words:
            path.unlink()
        asked = in_separate_process(ask, folder, queries)
        size = os.path.getsize(folder / "index.h5")
        rows.append({"photos": photos, "built": built["seconds"], "bytes": size} | {name: asked[name] for name in ("seconds", "ranking")})
        print(
            f"{photos} photos: built in {built['seconds']:.1f} s, {size / photos:.0f} bytes per photo, {memory(built)}; "
            f"a query takes {asked['seconds']:.3f} s (ranking {asked['ranking']:.3f} s), {memory(asked)}",
            flush=True,
        )
        shutil.rmtree(folder)
    exponent = np.polyfit(np.log([row["photos"] for row in rows]), np.log([row["built"] for row in rows]), 1)[0]
    print(f"the time to build grows as n^{exponent:.2f} (least squares of the logarithms)")
    curves = {"features": options.features, "exponent": exponent, "rows": rows}
    (options.folder / "scale.json").write_text(json.dumps(curves, indent=1))


def real_queries(run, features, count):
    """`QuantisedFeatures` of some photos of the run as of photos from outside, of their strongest `features` features."""
    store, size = FeatureStore(run.shards("features")), run.index["size"]
    vocabulary = Vocabulary.load(run.path("vocabulary"))
    rows = np.linspace(0, len(store) - 1, count).astype(int).tolist()
    return [quantise_query(*(part[:features] for part in store[row]), size[row], vocabulary, DEFAULTS["soft_words"]) for row in rows]


class Real:
    """The words of a run's photos, of the strongest `features` of each, and those of invented photos."""

    def __init__(self, run, features):
        arrays = run.index
        photo = np.repeat(np.arange(len(arrays["size"])), np.diff(arrays["offset"]))
        kept = arrays["feature"] < features
        self.counts = np.bincount(photo[kept], minlength=len(arrays["size"]))
        self.size, self.starts = arrays["size"], artefact.offsets(self.counts)
        self.columns = {name: arrays[name][kept] for name in ("word", "signature", "feature", "keypoint")}
        self._by_word = np.argsort(self.columns["word"], kind="stable")
        words = self.columns["word"]
        self._first, self._last = (np.searchsorted(words[self._by_word], words, side) for side in ("left", "right"))

    def __len__(self):
        return len(self.size)

    def part(self, first, last):
        """Sizes, numbers of features and columns of some real photos."""
        rows = slice(self.starts[first], self.starts[last])
        return self.size[first:last], self.counts[first:last], {name: column[rows] for name, column in self.columns.items()}

    def invent(self, count, rng):
        """The same for invented photos."""
        like = rng.integers(len(self), size=count)
        counts = self.counts[like]
        total = int(counts.sum())
        drawn = rng.integers(len(self.columns["word"]), size=total)
        other = self._by_word[rng.integers(self._first[drawn], self._last[drawn])]
        # A bit drawn anew is the other one half of the time.
        flips = np.packbits(rng.random((total, 64), np.float32) < FLIPPED / 2, axis=1).view(np.uint64).ravel()
        photo = np.repeat(np.arange(count), counts)
        order = np.lexsort((self.columns["word"][drawn], photo))
        feature = np.arange(total) - artefact.offsets(counts)[photo]
        columns = {
            "word": self.columns["word"][drawn][order],
            "signature": (self.columns["signature"][other] ^ flips)[order],
            "feature": feature.astype(np.int32),
            "keypoint": self.columns["keypoint"][drawn][order],
        }
        return self.size[like], counts, columns


def make_words(real, photos, folder):
    """Write the `words` artefacts of `photos` photos, and their `collection`. Returns the paths of the words."""
    folder.mkdir()
    paths, sizes = [], []
    starts = list(range(0, photos, SHARD))
    for start in progress(starts, f"photos of {photos}"):
        stop = min(start + SHARD, photos)
        known = [real.part(start, min(stop, len(real)))] if start < len(real) else []
        missing = stop - max(start, min(stop, len(real)))
        parts = known + ([real.invent(missing, np.random.default_rng([0, start]))] if missing else [])
        size, counts = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        columns = {name: np.concatenate([part[2][name] for part in parts]) for name in real.columns}
        sha256 = np.frombuffer(np.arange(4 * start, 4 * stop).astype(np.int64).tobytes(), np.uint8).reshape(-1, 32)
        paths.append(folder / f"words-{start:06d}.h5")
        artefact.write(paths[-1], "words", {"offset": artefact.offsets(counts), **columns, "content": sha256, "sha256": sha256})
        sizes.append((size, sha256))
    size, sha256 = (np.concatenate(arrays) for arrays in zip(*sizes, strict=True))
    artefact.write(folder / "collection.h5", "collection", {"width": size[:, 0], "height": size[:, 1], "sha256": sha256})
    return paths


def build(folder, words, vocabulary):
    begin = time.perf_counter()
    build_index(folder / "collection.h5", words, None, vocabulary, folder / "index.h5")
    return {"seconds": time.perf_counter() - begin}


def ask(folder, queries):
    """Mean seconds of a query, and of ranking its shortlist alone, when the files are in memory as far as they fit."""
    engine = Engine.load(folder / "index.h5", DEFAULTS["max_hamming"])
    settings = {name: DEFAULTS[name] for name in ("shortlist", "max_expansion", "expansion_inliers")} | {"min_inliers": MIN_EVIDENCE}
    for query in queries[:2]:
        search(engine, query, **settings)  # compiled
    begin = time.perf_counter()
    for query in queries:
        search(engine, query, **settings)
    whole = time.perf_counter() - begin
    begin = time.perf_counter()
    for query in queries:
        engine.rank(query, DEFAULTS["shortlist"])
    return {"seconds": whole / len(queries), "ranking": (time.perf_counter() - begin) / len(queries)}


def memory(found):
    return f"{found['own'] / 1e6:.0f} MB of memory (and {found['mapped'] / 1e6:.0f} MB mapped)"


if __name__ == "__main__":
    main()
